"""The scheduler of an engine that batches for itself: scores are those of lone feeds whatever is done first, tenants
take turns, and what nobody waits for is not begun."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.scheduling.choice import scheduler_for
from cloud_target.scheduling.flow import FlowScheduler
from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.scheduling.settings import SchedulerSettings
from cloud_target.telemetry.observer import Observer
from shared.errors import TargetBusy, TargetError, TargetUnavailable
from tests.cloud_target.scheduling.gated import CONTEXT, SCRIPT, VOCABULARY, a_feed, run, until
from tests.cloud_target.scheduling.test_scheduler import feeds, same


class Flowing(ScriptedEngine):
    """Answers what it has begun when it is told to, in another thread.

    Attributes:
        begun: slot and tokens of all feeds, in order.
        open: answers that were not given yet, by slot.
        broken: what each answer is instead.
    """

    branches = False

    def __init__(self, most_at_once: int = 2, chunk: int = 64) -> None:
        super().__init__(SCRIPT, VOCABULARY, 64, CONTEXT)
        self.most_at_once, self.chunk = most_at_once, chunk
        self.begun: list[tuple[int, int]] = []
        self.open: dict[int, Callable[[], None]] = {}
        self.broken: Exception | None = None

    def start(self, feed: Feed, tenant: str, done: Callable[[Scores | Exception], None]) -> None:
        self.begun.append((feed.slot, len(feed.tokens)))
        answer = self.broken or self.forward([feed])[0]
        self.open[feed.slot] = lambda: done(answer)

    def answer(self, slot: int) -> None:
        thread = threading.Thread(target=self.open.pop(slot))
        thread.start()
        thread.join()


async def answer_all(engine: Flowing) -> None:
    """Until nothing is begun any more."""
    while engine.open:
        engine.answer(next(iter(engine.open)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_an_engine_has_the_scheduler_that_it_takes():
    async def test() -> None:
        assert isinstance(scheduler_for(Flowing()), FlowScheduler)
        made = scheduler_for(ScriptedEngine(SCRIPT, VOCABULARY, 4, CONTEXT))
        assert isinstance(made, Scheduler)
        await made.close()

    run(test)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_of_answers_gives_the_scores_of_one_by_one(data):
    calls = []
    for slot in range(data.draw(st.integers(1, 5))):
        calls.append([])
        start = 0
        for _ in range(data.draw(st.integers(1, 3))):
            calls[-1].append(data.draw(feeds(slot, start)))
            start = data.draw(st.integers(0, calls[-1][-1].end))
    engine = Flowing(data.draw(st.integers(1, 3)), data.draw(st.integers(2, 30)))
    alone = ScriptedEngine(SCRIPT, VOCABULARY, 64, CONTEXT)

    async def test() -> None:
        scheduler = FlowScheduler(engine)

        async def session(of_one: list[Feed]) -> list[Scores]:
            return [await scheduler.submit(feed, str(feed.slot)) for feed in of_one]

        texts = asyncio.gather(*map(session, calls))
        while not texts.done():
            await asyncio.sleep(0)
            if engine.open:
                engine.answer(data.draw(st.sampled_from(sorted(engine.open))))
            assert len(engine.open) <= engine.most_at_once
        for found, expected in zip(await texts, calls, strict=True):
            assert all(same(one, alone.forward([feed])[0]) for one, feed in zip(found, expected, strict=True))
        scheduler.check_integrity()
        await scheduler.close()

    run(test)


def test_tenants_take_turns_with_chunks_of_long_feeds_too():
    async def test() -> None:
        engine, read = Flowing(most_at_once=1, chunk=10), []
        scheduler = FlowScheduler(engine)
        jobs = [scheduler.submit(replace(a_feed(0, 25), read=read.append), "crowd")]
        jobs += [scheduler.submit(a_feed(slot), "crowd") for slot in (1, 2)]
        jobs += [scheduler.submit(a_feed(3), "lone")]
        await answer_all(engine)
        await asyncio.gather(*jobs)
        assert engine.begun == [(0, 10), (3, 1), (0, 10), (0, 5), (1, 1), (2, 1)]
        assert read == [10, 20, 25]
        await scheduler.close()

    run(test)


def test_cancelled_and_late_work_is_not_begun():
    async def test() -> None:
        engine, begun = Flowing(most_at_once=1), []
        scheduler = FlowScheduler(engine)
        first = scheduler.submit(a_feed(0), on_begin=lambda: begun.append(0))
        cancelled = scheduler.submit(a_feed(1), on_begin=lambda: begun.append(1))
        late = scheduler.submit(a_feed(2), deadline=time.monotonic() + 0.01)
        in_time = scheduler.submit(a_feed(3), deadline=time.monotonic() + 60)
        await asyncio.sleep(0.03)
        cancelled.cancel()
        first.cancel()  # which was begun
        await answer_all(engine)
        await in_time
        with pytest.raises(TargetBusy, match="before the call's deadline"):
            await late
        assert (engine.begun, begun) == ([(0, 1), (3, 1)], [0])
        await scheduler.close()

    run(test)


def test_the_queue_is_bounded_and_no_crowd_fills_it():
    async def test() -> None:
        engine = Flowing(most_at_once=1)
        scheduler = FlowScheduler(engine, settings=SchedulerSettings(most_waiting=3))
        crowd = [scheduler.submit(a_feed(slot), "crowd") for slot in range(4)]
        with pytest.raises(TargetBusy, match="3 calls wait"):
            scheduler.submit(a_feed(4), "crowd")
        lone = scheduler.submit(a_feed(5), "lone")
        assert [job.done() for job in crowd] == [False, False, False, True]
        scheduler.check_integrity()
        await answer_all(engine)
        found = await asyncio.gather(*crowd, lone, return_exceptions=True)
        assert [isinstance(one, TargetBusy) for one in found] == [False, False, False, True, False]
        await scheduler.close()

    run(test)


@pytest.mark.parametrize(("error", "dead"), [(RuntimeError(), True), (ValueError(), False), (TargetError("x"), False)])
def test_a_text_that_cannot_be_read_is_not_the_end_of_the_engine(error, dead):
    async def test() -> None:
        engine = Flowing()
        engine.broken = error
        scheduler = FlowScheduler(engine)
        for _ in range(SchedulerSettings().dead_after):
            job = scheduler.submit(a_feed(1))
            await answer_all(engine)
            with pytest.raises(type(error)):
                await job
        assert scheduler.dead.is_set() is dead
        await scheduler.close()

    run(test)


def test_an_engine_that_does_not_begin_says_so_to_whoever_waits():
    async def test() -> None:
        engine = Flowing()
        scheduler = FlowScheduler(engine)
        with pytest.raises(ValueError, match="positions"):
            await scheduler.submit(a_feed(1, 1, start=CONTEXT))
        job = scheduler.submit(a_feed(2))
        await answer_all(engine)
        await job
        await scheduler.close()

    run(test)


def test_closing_waits_for_what_was_begun_and_refuses_the_rest():
    async def test() -> None:
        engine = Flowing(most_at_once=2, chunk=10)
        scheduler = FlowScheduler(engine)
        begun, long, waiting = (scheduler.submit(feed) for feed in (a_feed(0), a_feed(1, 25), a_feed(2)))
        closing = asyncio.ensure_future(scheduler.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        await answer_all(engine)
        await closing
        await begun
        for refused in (long, waiting):
            with pytest.raises(TargetUnavailable, match="shutting down"):
                await refused
        with pytest.raises(TargetUnavailable, match="shutting down"):
            scheduler.submit(a_feed(3))
        assert engine.begun == [(0, 1), (1, 10)]

    run(test)


def test_whether_anything_hangs_can_be_seen():
    async def test() -> None:
        engine = Flowing()
        scheduler = FlowScheduler(engine)
        assert scheduler.under_way is None
        jobs = [scheduler.submit(a_feed(slot)) for slot in range(2)]
        before = scheduler.under_way
        assert before is not None
        assert scheduler.under_way is before
        engine.answer(0)
        await until(jobs[0].done)
        assert scheduler.under_way not in (None, before)
        await answer_all(engine)
        await asyncio.gather(*jobs)
        assert scheduler.under_way is None
        await scheduler.close()

    run(test)


def test_a_change_that_fails_is_told_and_takes_no_other_with_it(caplog):
    async def test() -> None:
        engine, failed, done = Flowing(), [], []
        scheduler = FlowScheduler(engine)
        scheduler.do(lambda: engine.copy(7, 8, 3), lambda: failed.append(True))
        scheduler.do(lambda: done.append(True))
        assert (failed, done) == ([True], [True])
        await scheduler.close()

    run(test)
    assert "a change of the cache failed with ValueError" in caplog.text


def test_it_tells_of_queues_and_feeds():
    class Seen(Observer):
        def __init__(self) -> None:
            self.depth, self.passes, self.waits = [], [], []

        def queued(self, feeds: int) -> None:
            self.depth.append(feeds)

        def passed(self, feeds: int, tokens: int, seconds: float) -> None:
            self.passes.append((feeds, tokens))

        def waited(self, seconds: float) -> None:
            self.waits.append(seconds)

    async def test() -> None:
        engine, seen = Flowing(most_at_once=1), Seen()
        scheduler = FlowScheduler(engine, seen)
        jobs = [scheduler.submit(a_feed(slot, 3)) for slot in range(3)]
        assert max(seen.depth) == 2
        await answer_all(engine)
        await asyncio.gather(*jobs)
        assert (seen.passes, seen.depth[-1], len(seen.waits)) == ([(1, 3)] * 3, 0, 3)
        await scheduler.close()

    run(test)
