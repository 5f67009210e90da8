"""Changes of the cache between passes, and an engine that changes nothing and answers nobody any more."""

from __future__ import annotations

import asyncio
import threading

from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.scheduling.settings import SchedulerSettings
from tests.cloud_target.scheduling.gated import Gated, a_feed, occupied, run, until


def test_changes_come_between_passes():
    async def test() -> None:
        engine, order = Gated(), []
        scheduler = await occupied(engine)
        scheduler.do(lambda: order.append(len(engine.batches)))
        await asyncio.sleep(0.01)
        assert order == []
        job = scheduler.submit(a_feed(0))
        engine.gate.release(2)
        await job
        assert order == [1]
        scheduler.do(lambda: order.append("at the end"))
        await scheduler.close()
        assert order == [1, "at the end"]

    run(test)


def test_changes_do_not_wait_for_a_pass_that_never_comes():
    async def test() -> None:
        scheduler, changed = Scheduler(Gated()), threading.Event()
        scheduler.do(changed.set)
        await until(changed.is_set)
        await scheduler.close()

    run(test)


def test_a_change_that_fails_takes_no_other_with_it(caplog):
    async def test() -> None:
        engine, seen = Gated(), []
        scheduler = await occupied(engine)

        def fail() -> None:
            message = "sec" + "ret"
            raise RuntimeError(message)

        scheduler.do(fail, lambda: seen.append("failed"))
        scheduler.do(lambda: seen.append("changed"), lambda: seen.append("never"))
        job = scheduler.submit(a_feed(0))
        engine.gate.release(2)
        await job
        assert sorted(seen) == ["changed", "failed"]
        scheduler.do(fail)
        await scheduler.close()

    run(test)
    assert caplog.text.count("failed with RuntimeError") == 2
    assert "secret" not in caplog.text


def test_an_engine_that_fails_for_everybody_is_dead_after_some_passes():
    async def test() -> None:
        engine = Gated(open_gate=True)
        scheduler = Scheduler(engine)

        async def passes(*slots: int) -> None:
            await asyncio.gather(*(scheduler.run(a_feed(slot)) for slot in slots), return_exceptions=True)

        engine.broken = 1
        for _ in range(SchedulerSettings().dead_after - 1):
            await passes(1)
        await passes(0, 1)  # one of them is served
        for _ in range(SchedulerSettings().dead_after - 1):
            await passes(1)
        await asyncio.gather(scheduler.run(a_feed(2, start=5)), return_exceptions=True)  # the caller's own fault
        for _ in range(SchedulerSettings().dead_after - 1):
            await passes(1)
        assert not scheduler.dead.is_set()
        await passes(1)
        assert scheduler.dead.is_set()
        await scheduler.close()

    run(test)
