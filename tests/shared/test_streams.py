"""A standard error that takes nothing, or takes its time, ends nobody; what it takes is written whole."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from shared.streams import mend_streams


@pytest.fixture
def pipe(monkeypatch):
    """Standard error is a pipe that blocks nobody; its other end."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with open(theirs, "w", encoding="utf-8", errors="backslashreplace") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        mend_streams()
        yield ours


def test_a_line_is_written_at_once_and_as_it_was(pipe):
    print("é \udcff", file=sys.stderr)
    assert os.read(pipe, 100) == "é \\udcff\n".encode()
    assert not sys.stderr.isatty()
    os.close(pipe)


def test_what_a_slow_reader_reads_is_whole(pipe):
    text, found = "x" * 300_000, bytearray()

    def read() -> None:
        while len(found) <= len(text):
            found.extend(os.read(pipe, 4096))

    reader = threading.Thread(target=read)
    reader.start()
    print(text, file=sys.stderr)
    reader.join()
    assert found.decode() == text + "\n"
    os.close(pipe)


def test_what_nobody_reads_is_lost(pipe):
    os.close(pipe)
    print("nobody hears this", file=sys.stderr)
    print("nor this", file=sys.stderr, flush=True)
