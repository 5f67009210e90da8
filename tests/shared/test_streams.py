"""A standard error that takes nothing, or takes its time, ends nobody; what it takes is written whole."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.streams import mend_streams


@contextmanager
def standard_error() -> Iterator[int]:
    """For the length of the block it is a pipe that makes nobody wait; gives the other end, to be closed."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    before = sys.stderr
    with open(theirs, "w", encoding="utf-8", errors="backslashreplace") as sys.stderr:
        try:
            mend_streams()
            yield ours
        finally:
            sys.stderr = before


def test_a_line_is_written_at_once_and_as_it_was():
    with standard_error() as reads:
        print("é \udcff", file=sys.stderr)
        is_terminal = sys.stderr.isatty()
    assert os.read(reads, 100) == "é \\udcff\n".encode()
    assert not is_terminal
    os.close(reads)


def test_what_a_slow_reader_reads_is_whole():
    text, found = "x" * 300_000, bytearray()

    def read() -> None:
        while some := os.read(reads, 4096):
            found.extend(some)

    with standard_error() as reads:
        reader = threading.Thread(target=read)
        reader.start()
        print(text, file=sys.stderr)
    reader.join()
    assert found.decode() == text + "\n"
    os.close(reads)


def test_what_nobody_reads_is_lost():
    with standard_error() as reads:
        os.close(reads)
        print("nobody hears this", file=sys.stderr)
        print("nor this", file=sys.stderr, flush=True)
        assert not sys.stderr.closed
