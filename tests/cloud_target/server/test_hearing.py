"""Signals are told once, and obeyed at once the second time, by a thread that needs no other."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cloud_target.server.hearing import ENDS, hearing

PATIENCE = 20.0
SERVICE = signal.SIGUSR1


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def left() -> Iterator[None]:
    """What cared for signals before, to be met again afterwards."""

    def now() -> list[object]:
        number = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(number)
        return [number, *map(signal.getsignal, (*ENDS, SERVICE))]

    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    mine = signal.set_wakeup_fd(writes)
    before, threads = now(), set(threading.enumerate())
    yield
    assert now() == before
    assert set(threading.enumerate()) <= threads, "others' may have ended meanwhile"
    signal.set_wakeup_fd(mine)
    os.close(reads)
    os.close(writes)


@pytest.mark.parametrize("number", ENDS)
def test_the_second_one_is_left_to_the_system(left, number):
    heard: list[int] = []
    with hearing(heard.append, {}):
        os.kill(os.getpid(), number)
        assert [signal.getsignal(one) for one in ENDS] == [signal.SIG_DFL] * 2
        until(lambda: bool(heard))
    assert heard == [number]


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
def test_the_thread_ends_the_process_where_the_system_does_not(left, monkeypatch, first, second):
    """As with the first process of a container, or where the main thread never comes to leave it to the system."""
    heard: list[int] = []
    ended: list[int] = []
    this = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "_exit", ended.append)
    with hearing(heard.append, {}):
        os.kill(this, first)
        until(lambda: bool(heard))
        assert not ended
        os.kill(this, second)
        until(lambda: bool(ended))
    assert (heard, ended) == ([first], [128 + second])


def test_others_come_as_often_as_they_like_and_end_nothing(left):
    heard: list[int] = []
    out: list[threading.Thread] = []
    with hearing(heard.append, {SERVICE: lambda: out.append(threading.current_thread())}):
        for count in range(1, 4):
            os.kill(os.getpid(), SERVICE)
            until(lambda count=count: len(out) == count)
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: bool(heard))
        os.kill(os.getpid(), SERVICE)
        until(lambda: len(out) == 4)
    assert heard == [signal.SIGTERM]
    assert threading.main_thread() not in out
