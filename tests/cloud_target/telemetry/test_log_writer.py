"""The thread that writes the log: nobody waits for it, and what is lost for that is counted."""

from __future__ import annotations

import io
import logging
import os
import re
import select
import threading
import warnings
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.telemetry.log_writer import FIELDS, MOST, LineQueue, writer
from cloud_target.telemetry.logs import TextFormatter, logging_to, write_the_rest
from tests.cloud_target.telemetry.unread import Unread

LOG = logging.getLogger("cloud_target.test")
PATIENCE = 20.0


def lost(lines: list[str]) -> int:
    return sum(map(int, re.findall(r"lines_lost=(\d+)", "\n".join(lines))))


@given(st.integers(1, 4), st.lists(st.sampled_from(["log", "write", "spoil"]), max_size=40))
def test_every_line_is_written_or_counted(most, steps):
    """In order, with what was lost before it; a line that cannot be formatted is lost, too."""
    queue: Queue = Queue(most)
    handler = LineQueue(queue)
    handler.setFormatter(TextFormatter())
    logged, expected, missing, written = 0, [], 0, []
    for step in [*steps, "write", "log"]:
        if step == "write":
            written += [queue.get().message for _ in range(queue.qsize())]
            continue
        logged += 1
        arguments = ("x",) if step == "spoil" else (logged,)
        record = logging.LogRecord("a", logging.INFO, "", 0, "line %d", arguments, None)
        handler.handle(record)
        assert (record.msg, record.args, hasattr(record, FIELDS)) == ("line %d", arguments, False)  # for other handlers
        if step == "spoil" or queue.qsize() + len(written) == len(expected):
            missing += 1
        else:
            expected.append(f"INFO line {logged}" + (f" lines_lost={missing}" if missing else ""))
            missing = 0
    written += [queue.get().message for _ in range(queue.qsize())]
    assert [line.partition(" ")[2] for line in written] == expected
    assert len(written) + lost(written) == logged


@pytest.mark.parametrize("more", [0, 7])
def test_nobody_waits_for_a_stream_that_nobody_reads(more):
    with Unread() as stream, logging_to(stream):
        LOG.warning("the first")
        assert stream.waits.wait(PATIENCE)
        for _ in range(MOST + more):
            LOG.warning("more")
        assert stream.getvalue() == ""
        stream.read_on()
        write_the_rest()
        LOG.warning("the last")
    lines = stream.getvalue().splitlines()
    assert lines[-1].endswith("WARNING the last" + (f" lines_lost={more}" if more else ""))
    assert len(lines) == 1 + MOST + 1


@pytest.mark.parametrize("waiting", [1, MOST + 2])
def test_the_end_does_not_wait_for_it_either(waiting):
    with Unread() as stream:
        with logging_to(stream):
            for _ in range(waiting):
                LOG.warning("more")
            write_the_rest()
        assert stream.getvalue() == ""


def test_what_is_logged_is_written_before_the_block_ends_or_when_that_is_asked_for():
    stream = io.StringIO()
    with logging_to(stream):
        LOG.warning("the first")
        write_the_rest()
        assert stream.getvalue().count("\n") == 1
        for _ in range(100):
            LOG.warning("more")
    assert stream.getvalue().count("\n") == 101


def test_what_libraries_say_goes_the_same_way(monkeypatch):
    other = logging.getLogger("a library without any handler")
    monkeypatch.setattr(other, "propagate", False)
    stream, before = io.StringIO(), (logging.lastResort, warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        shown = warnings.showwarning
        with logging_to(stream):
            other.warning("it rains")
            warnings.warn("it snows", stacklevel=1)
        assert warnings.showwarning is shown
    assert "WARNING it rains\n" in stream.getvalue()
    assert "UserWarning: it snows" in stream.getvalue()
    assert (logging.lastResort, warnings.showwarning) == before


def test_a_stream_that_fails_is_tried_again(monkeypatch):
    stream = io.StringIO()
    with logging_to(stream):
        with monkeypatch.context() as patched:
            patched.setattr(stream, "flush", lambda: stream.fileno())  # raises
            LOG.warning("the first")
            write_the_rest()
        LOG.warning("the second")
    assert stream.getvalue().endswith("the second\n")


def test_without_a_stream_nothing_is_written(capfd):
    writer(None)("a line\n")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("waits", [True, False])
def test_a_file_gets_whole_lines(monkeypatch, waits):
    """However much of one the system takes at once, also where somebody made it say so instead of waiting."""
    line, got = "\u00e4\udc80" * 100_000 + "\n", []
    reader, select_it = threading.Thread(target=lambda: got.append(source.readline())), select.select

    def select_later(*about: object) -> object:
        """Nobody reads before this is called."""
        if not reader.ident:
            reader.start()
        return select_it(*about)

    from_end, to_end = os.pipe()
    os.set_blocking(to_end, waits)
    with open(from_end, "rb") as source, open(to_end, "w", encoding="utf-8") as sink:
        monkeypatch.setattr(select, "select", select_later)
        if waits:
            reader.start()
        writer(sink)(line)
        if reader.ident:
            reader.join(PATIENCE)
    assert got == [line.encode("utf-8", "backslashreplace")]
