"""What a request costs the service does not grow with those that wait, are idle, or are at work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

import cloud_target
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.protocol.requests import Request
from cloud_target.server.crowds import Crowds
from cloud_target.server.lease import Lease
from cloud_target.server.leases import Leases
from cloud_target.server.timeouts import Timeouts
from cloud_target.sessions.session import Session
from cloud_target.sessions.table import SessionTable
from shared.errors import TargetBusy
from tests.cloud_target.server.fake_time import run_in_fake_time
from tests.cloud_target.server.test_leases import CONTEXT, SCRIPT, VOCABULARY, wanted

HOME = cloud_target.__path__[0]
FEW, MANY = 64, 1024  # of 64, too, only a third is served while it is counted
# Where what is walked over grows by 16 or more, this is far more than logarithms make of it, and far less than a walk.
ALIKE = 2.0


class Steps:
    """Lines of the service's code that were run, each turn of a loop counted."""

    count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count those in the block."""

        def line(frame: FrameType, event: str, _: Any) -> Callable | None:
            self.count += event == "line"
            return line

        def call(frame: FrameType, event: str, _: Any) -> Callable | None:
            return line if frame.f_code.co_filename.startswith(HOME) else None

        before = sys.gettrace()
        sys.settrace(call)
        try:
            yield
        finally:
            sys.settrace(before)


def session(number: int, tenant: str) -> Request:
    """A request for a text as long as the context."""
    asked = wanted(0, tenant)
    return replace(asked, terms=replace(asked.terms, session_id=number.to_bytes(16, "big")))


def leases_of(texts: int) -> Leases:
    return Leases(SessionTable(ScriptedEngine(SCRIPT, VOCABULARY, texts, CONTEXT)))


def cost_where_waiting(waiting: int, tenants: int) -> float:
    """Steps a request where so many sessions wait, are refused, come again, and are served, one after the other."""
    steps, leases, asked = Steps(), leases_of(2), 0

    async def ask(number: int) -> None:
        nonlocal asked
        await asyncio.sleep(number % 7)
        while True:
            asked += 1
            with suppress(TargetBusy):
                async with leases.take(session(number, f"crowd {number % tenants}"), CONTEXT):
                    await asyncio.sleep(1.0)
                return
            await asyncio.sleep(Timeouts().again + number % 3)

    async def test() -> None:
        crowd = [asyncio.create_task(ask(number)) for number in range(waiting)]
        with steps.counted():
            await asyncio.sleep(12)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    run_in_fake_time(test(), 0.0)
    return steps.count / asked


@pytest.mark.slow
@pytest.mark.parametrize("tenants", [1, 4])
def test_a_request_costs_the_same_however_many_wait(tenants):
    assert cost_where_waiting(MANY, tenants) < ALIKE * cost_where_waiting(FEW, tenants)


def cost_where_at_work(at_work: int, idle: int) -> int:
    """Steps of a request for new room where so many are at work and so many idle, and of one that finds none."""
    steps, leases = Steps(), leases_of(at_work + idle)

    async def use(number: int, ends: asyncio.Event) -> None:
        async with leases.take(session(number, "crowd"), CONTEXT) as lease:
            lease.session.rewrite(0, [1] * CONTEXT, cached=CONTEXT)
            await ends.wait()

    async def test() -> None:
        never, now = asyncio.Event(), asyncio.Event()
        now.set()
        for number in range(idle):
            await use(number, now)
        busy = [asyncio.create_task(use(idle + number, never)) for number in range(at_work)]
        await asyncio.sleep(0)
        with steps.counted():
            await use(10_000, now)  # which takes the place of an idle one
            large = asyncio.create_task(use(10_001, never))
            await asyncio.sleep(0.5)
        for task in (*busy, large):
            task.cancel()
        await asyncio.gather(*busy, large, return_exceptions=True)

    run_in_fake_time(test(), 0.0)
    return steps.count


@pytest.mark.slow
def test_a_request_costs_the_same_however_many_are_at_work_or_idle():
    few = cost_where_at_work(4, 4)
    assert cost_where_at_work(128, 4) < ALIKE * few
    assert cost_where_at_work(4, 128) < ALIKE * few


def cost_of_an_end(waiting: int) -> int:
    """Steps of one lease's end where so many requests wait for the older ones of their own sessions."""
    steps, leases = Steps(), leases_of(waiting + 1)

    async def use(number: int, ends: asyncio.Event) -> None:
        async with leases.take(session(number, "crowd"), CONTEXT):
            await ends.wait()

    async def test() -> None:
        never, end = asyncio.Event(), asyncio.Event()
        older = [asyncio.create_task(use(number, never)) for number in range(waiting)]
        one = asyncio.create_task(use(10_000, end))
        await asyncio.sleep(0.1)
        newer = [asyncio.create_task(use(number, never)) for number in range(waiting)]
        await asyncio.sleep(0.1)
        with steps.counted():
            end.set()
            await one
            await asyncio.sleep(0.1)
        for task in (*older, *newer):
            task.cancel()
        await asyncio.gather(*older, *newer, return_exceptions=True)

    run_in_fake_time(test(), 0.0)
    return steps.count


def test_an_end_wakes_nobody_whom_it_does_not_concern():
    assert cost_of_an_end(64) == cost_of_an_end(4)


def lease(number: int, tenant: str, size: int) -> Lease:
    text = Session(number, tenant)
    text.allocated = size
    return Lease(text, Timeouts())


def test_the_largest_text_of_whoever_uses_most_room_is_found():
    async def test() -> None:
        crowds = Crowds()
        assert crowds.largest() is None
        small, large, other = lease(1, "a", 16), lease(2, "a", 48), lease(3, "b", 56)
        for one in (small, large, lease(4, "a", 48), other):
            crowds.add(one)
        assert crowds.largest() is large, "the older of two that are equal"
        assert "b" in crowds
        crowds.remove(large)
        crowds.remove(small)
        assert crowds.largest() is other
        crowds.remove(other)
        assert "b" not in crowds
        assert crowds.largest().session.slot == 4

    run_in_fake_time(test(), 0.0)
