"""Processes that answer over a pipe: what they say, what goes wrong in them, and that they end."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from benchmarks.report.worker import Worker
from shared.errors import InputError, TandemError


def doubler(pipe, first):
    """Sends the double of everything."""
    pipe.send(first)
    while True:
        (number,) = pipe.recv()
        if number < 0:
            raise InputError("there is no double of that; give another")
        if number == 0:
            raise SystemExit(3)
        pipe.send(2 * number)


def late(pipe):
    """Is never ready."""
    pipe.recv()


def hungry(pipe):
    """Takes memory and time before it is ready."""
    memory = bytearray(50_000_000)
    begin = time.process_time()
    while time.process_time() - begin < 0.3:
        pass
    pipe.send(len(memory))
    pipe.recv()


@pytest.mark.slow
def test_it_answers_until_it_is_closed() -> None:
    with Worker(doubler, "begun") as worker:
        assert worker.ready == "begun"
        assert [worker.ask(number) for number in (1, 21)] == [2, 42]
    assert not worker._process.is_alive()
    worker.close()


@pytest.mark.slow
def test_what_goes_wrong_in_it_is_told_here() -> None:
    with Worker(doubler, None) as worker, pytest.raises(TandemError, match="there is no double of that"):
        worker.ask(-1)
    with Worker(doubler, None) as worker, pytest.raises(TandemError, match="ended before its time"):
        worker.ask(0)


@pytest.mark.slow
def test_one_that_is_not_ready_in_time_is_an_error_and_ends() -> None:
    with pytest.raises(TandemError, match="was not ready within 1 second"):
        Worker(late, patience=1.0)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_its_time_and_memory_are_its_own() -> None:
    with Worker(hungry) as worker:
        if worker.cpu_seconds is None:
            pytest.skip("this system does not tell")
        assert 0.25 < worker.cpu_seconds < 20
        assert worker.peak_bytes > worker.ready
    assert worker.cpu_seconds is None
    assert worker.peak_bytes is None
