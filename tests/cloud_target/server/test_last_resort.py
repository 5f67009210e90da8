"""The end of a process that does not end by itself: once, in time, and only where it was not called off."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from cloud_target.server.last_resort import last_resort
from cloud_target.telemetry.logs import logging_to, write_the_rest
from tests.cloud_target.telemetry.unread import Unread

PATIENCE = 20.0


@pytest.fixture
def exits(monkeypatch) -> list[int]:
    """The statuses with which this process would have ended."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    return statuses


def timers() -> list[threading.Timer]:
    return [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_it_ends_the_process_once_and_says_where_it_hung(exits, caplog):
    with caplog.at_level(logging.ERROR, "cloud_target"), last_resort() as resort:
        resort.arm(0.0, 7)
        resort.arm(0.0, 8)
        for timer in timers():
            timer.join(PATIENCE)
    assert exits == [7]
    assert "did not end in time" in caplog.text
    assert "in test_it_ends_the_process_once" in caplog.text


def test_it_says_so_before_it_ends_the_process(monkeypatch):
    """To somebody who reads only while it waits for that."""
    written: list[str] = []

    def write() -> None:
        stream.read_on()
        write_the_rest()

    monkeypatch.setattr("cloud_target.server.last_resort.write_the_rest", write)
    with Unread() as stream, logging_to(stream), last_resort() as resort:
        monkeypatch.setattr(os, "_exit", lambda status: written.append(stream.getvalue()))
        resort.arm(0.0, 7)
        for timer in timers():
            timer.join(PATIENCE)
    assert "did not end in time" in written[0]


def test_it_ends_the_process_where_nobody_reads_the_log(exits):
    with Unread() as stream, logging_to(stream), last_resort() as resort:
        resort.arm(0.0, 7)
        for timer in timers():
            timer.join(PATIENCE)
        assert exits == [7]


def test_a_process_that_ended_is_left_alone(exits):
    with last_resort() as resort:
        resort.arm(3600.0, 7)
        waiting = timers()
    for timer in waiting:
        timer.join(PATIENCE)
    assert len(waiting) == 1
    assert not waiting[0].is_alive()
    assert exits == []
