"""The scheduler: what shares a pass changes no score, nobody is starved, and what nobody waits for is not done."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.scheduling.settings import WINDOW, SchedulerSettings
from cloud_target.telemetry.observer import Observer
from shared.config import Coupling, Sampling
from shared.errors import TargetBusy, TargetError, TargetUnavailable
from tests.cloud_target.scheduling.gated import CONTEXT, SCRIPT, VOCABULARY, Gated, a_feed, occupied, run, until


def same(one: Scores, other: Scores) -> bool:
    columns = ("own", "own_nll", "own_unlikely"), ("off_strict", "unlikely", "nll")
    return all(np.array_equal(getattr(one, c), getattr(other, c)) for c in columns[0]) and all(
        np.array_equal(getattr(one.given, c), getattr(other.given, c)) for c in columns[1]
    )


ids = st.integers(0, VOCABULARY - 1)


@st.composite
def feeds(draw, slot: int, start: int):
    tokens = tuple(draw(st.lists(ids, min_size=1, max_size=draw(st.sampled_from([1, 4, 25])))))
    score_from = draw(st.integers(0, len(tokens) - 1))
    judged = draw(st.integers(0, len(tokens) - 1 - score_from))
    q = tuple((np.array([x, (x + 1) % VOCABULARY]), np.array([0.75, 0.25])) for x in tokens[len(tokens) - judged :])
    sampling = Sampling(draw(st.sampled_from([0.0, 0.8])), 0, 0.9, draw(st.integers(0, 9)))
    if draw(st.booleans()):
        return Feed(slot, start, tokens, score_from, sampling, Coupling.RESIDUAL, q)
    return Feed(slot, start, tokens, score_from, sampling)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_interleaving_gives_the_scores_of_one_by_one(data):
    """Sessions make calls one after the other at any pace, in chunks of any size; each score is that of a lone call."""
    calls, chunk = [], data.draw(st.integers(2, 30))
    for slot in range(data.draw(st.integers(1, 6))):
        calls.append([])
        start = 0
        for _ in range(data.draw(st.integers(1, 4))):
            calls[-1].append(data.draw(feeds(slot, start)))
            start = data.draw(st.integers(0, calls[-1][-1].end))
    pauses = {(f.slot, i): data.draw(st.integers(0, 3)) for session in calls for i, f in enumerate(session)}
    engine, alone = Gated(open_gate=True), ScriptedEngine(SCRIPT, VOCABULARY, 64, CONTEXT)

    async def test() -> list[list[Scores]]:
        scheduler = Scheduler(engine, settings=SchedulerSettings(chunk=chunk))

        async def session(feeds: list[Feed]) -> list[Scores]:
            found = []
            for i, feed in enumerate(feeds):
                for _ in range(pauses[feed.slot, i]):
                    await asyncio.sleep(0)
                read: list[int] = []
                found.append(await scheduler.run(replace(feed, read=read.append), str(feed.slot % 3)))
                assert read == sorted(read)
                assert read[-1] == feed.end
            return found

        found = await asyncio.gather(*map(session, calls))
        await scheduler.drained()
        scheduler.check_integrity()
        await scheduler.close()
        return found

    for session, scores in zip(calls, asyncio.run(test()), strict=True):
        for feed, found in zip(session, scores, strict=True):
            assert same(found, alone.forward([feed])[0])
    assert all(tokens <= max(chunk, 30) for batch in engine.batches for _, tokens in batch)
    engine.check_integrity()


def test_all_that_waits_joins_one_pass():
    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine)
        jobs = [asyncio.ensure_future(scheduler.run(a_feed(slot, 1 + slot % 5))) for slot in range(40)]
        await asyncio.sleep(0.01)
        engine.gate.release(2)
        scores = await asyncio.gather(*jobs)
        assert [len(batch) for batch in engine.batches] == [1, 40]
        assert all(s.queue_us > 0 for s in scores)
        await scheduler.close()

    run(test)


def test_a_continuation_is_in_the_very_next_pass():
    """Whoever goes on as soon as the answer is there misses no pass, so sessions do not fall into two halves."""

    async def test() -> None:
        engine = Gated(open_gate=True)
        scheduler = Scheduler(engine)

        async def session(slot: int) -> None:
            for position in range(20):
                await scheduler.run(a_feed(slot, 1, position))

        await asyncio.gather(*map(session, range(8)))
        assert [len(batch) for batch in engine.batches] == [8] * 20
        await scheduler.close()

    run(test)


def test_a_short_call_waits_for_no_more_than_one_part():
    async def test() -> None:
        engine = Gated()
        scheduler = Scheduler(engine, settings=SchedulerSettings(chunk=10))
        long = asyncio.ensure_future(scheduler.run(a_feed(0, 95)))
        await until(engine.begun.is_set)
        short = asyncio.ensure_future(scheduler.run(a_feed(1, 3)))
        await asyncio.sleep(0.01)
        engine.gate.release(2)
        await short
        assert engine.batches == [[(0, 10)], [(1, 3)]]
        engine.gate.release(100)
        await long
        assert sum(tokens for batch in engine.batches for slot, tokens in batch if slot == 0) == 95
        await scheduler.close()

    run(test)


def test_a_tenant_with_a_thousand_feeds_does_not_starve_another():
    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine, most_waiting=2000, chunk=40)
        crowd = [asyncio.ensure_future(scheduler.run(a_feed(slot % 60, 40), "crowd")) for slot in range(50)]
        crowd += [asyncio.ensure_future(scheduler.run(a_feed(61, 100), "crowd"))]
        await asyncio.sleep(0.01)
        lone = [scheduler.submit(a_feed(60, 40), "lone"), scheduler.submit(a_feed(62, 100), "lone")]
        engine.gate.release(2)
        await lone[0]
        assert len(engine.batches) == 2
        assert (60, 40) in engine.batches[1][:2]
        engine.gate.release(1000)
        await asyncio.gather(*crowd, *lone)
        chunks = [slot for batch in engine.batches for slot, _ in batch if slot in (61, 62)]
        assert chunks[:3] == [61, 62, 61]
        await scheduler.close()

    run(test)


def test_cancelled_and_late_work_is_not_done():
    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine)
        cancelled = [asyncio.ensure_future(scheduler.run(a_feed(1))), scheduler.submit(a_feed(2, 150))]
        late = asyncio.ensure_future(scheduler.run(a_feed(3), deadline=time.monotonic() + 0.01))
        in_time = asyncio.ensure_future(scheduler.run(a_feed(4), deadline=time.monotonic() + 60))
        await asyncio.sleep(0.03)
        for one in cancelled:
            one.cancel()
        await asyncio.sleep(0.01)
        engine.gate.release(100)
        await in_time
        with pytest.raises(TargetBusy, match="before the call's deadline"):
            await late
        assert engine.batches == [[(63, 1)], [(4, 1)]]
        await scheduler.drained()
        scheduler.check_integrity()
        await scheduler.close()

    run(test)


def test_what_was_read_before_the_caller_gave_up_is_kept():
    async def test() -> None:
        engine, read = Gated(), []
        scheduler = Scheduler(engine, settings=SchedulerSettings(chunk=10))
        feed = replace(a_feed(0, 95), read=read.append)
        job = scheduler.submit(feed)
        engine.gate.release(3)
        await until(lambda: len(read) == 3)
        job.cancel()
        engine.gate.release(100)
        await scheduler.drained()
        assert read == [10, 20, 30]
        assert len(engine.batches) <= 4
        rest = replace(feed, start=30, tokens=feed.tokens[30:], score_from=64)
        found = await scheduler.run(rest)
        assert same(found, ScriptedEngine(SCRIPT, VOCABULARY, 4, CONTEXT).forward([a_feed(0, 95)])[0])
        await scheduler.close()

    run(test)


def test_the_queue_is_bounded():
    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine, most_waiting=3)
        waiting = [scheduler.submit(a_feed(slot)) for slot in range(3)]
        with pytest.raises(TargetBusy, match="3 calls wait"):
            await scheduler.run(a_feed(3))
        waiting[0].cancel()
        await asyncio.sleep(0)
        last = scheduler.submit(a_feed(3))
        engine.gate.release(100)
        await asyncio.gather(*waiting[1:], last)
        await scheduler.close()

    run(test)


def test_a_crowd_cannot_fill_the_queue_against_others():
    """Whoever has most waiting gives up its newest, until the others have as many."""

    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine, most_waiting=6, chunk=10)
        crowd = [scheduler.submit(a_feed(slot, 1 + 20 * (slot % 2)), "crowd") for slot in range(1, 7)]
        lone = [scheduler.submit(a_feed(10), "lone")]
        assert [job.done() for job in crowd] == [False] * 5 + [True]
        with pytest.raises(TargetBusy, match="6 calls wait"):
            scheduler.submit(a_feed(7), "crowd")
        lone += [scheduler.submit(a_feed(slot), "lone") for slot in (11, 12)]
        with pytest.raises(TargetBusy, match="6 calls wait"):
            scheduler.submit(a_feed(13), "lone")  # three and three
        assert [job.done() for job in crowd] == [False] * 3 + [True] * 3
        lone.append(scheduler.submit(a_feed(20), "third"))
        scheduler.check_integrity()
        engine.gate.release(1000)
        found = await asyncio.gather(*crowd, *lone, return_exceptions=True)
        assert [isinstance(one, TargetBusy) for one in found].count(True) == 4
        await scheduler.close()

    run(test)


def test_a_feed_that_comes_to_nothing_costs_no_other_a_pass():
    class Nothing(Gated):
        def forward(self, feeds: Sequence[Feed]) -> list[Scores | TargetError]:
            found = super().forward(feeds)
            return [TargetError("for a test") if f.slot == 1 else one for f, one in zip(feeds, found, strict=True)]

    async def test() -> None:
        engine = Nothing()
        scheduler = await occupied(engine)
        jobs = [asyncio.ensure_future(scheduler.run(a_feed(slot))) for slot in range(3)]
        await asyncio.sleep(0.01)
        engine.gate.release(100)
        found = await asyncio.gather(*jobs, return_exceptions=True)
        assert [isinstance(one, TargetError) for one in found] == [False, True, False]
        assert engine.passes == 2
        assert not scheduler.dead.is_set()
        await scheduler.close()

    run(test)


def test_a_feed_that_fails_takes_no_other_with_it():
    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine)
        engine.broken = 1
        jobs = [asyncio.ensure_future(scheduler.run(a_feed(slot))) for slot in range(3)]
        await asyncio.sleep(0.01)
        engine.gate.release(100)
        found = await asyncio.gather(*jobs, return_exceptions=True)
        assert [isinstance(one, RuntimeError) for one in found] == [False, True, False]
        await scheduler.close()

    run(test)


@pytest.mark.parametrize(("kind", "dead"), [(RuntimeError, True), (ValueError, False), (TargetError, False)])
def test_a_text_that_cannot_be_read_is_not_the_end_of_the_device(kind, dead):
    async def test() -> None:
        class Failing(Gated):
            def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
                raise kind

        scheduler = Scheduler(Failing(open_gate=True))
        for _ in range(SchedulerSettings().dead_after):
            with pytest.raises(kind):
                await scheduler.run(a_feed(1))
        await scheduler.drained()
        assert scheduler.dead.is_set() is dead
        await scheduler.close()

    run(test)


def test_closing_waits_for_the_pass_and_refuses_the_rest():
    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine)
        waiting = scheduler.submit(a_feed(0, 150))
        threading.Timer(0.05, engine.gate.release, (100,)).start()
        await scheduler.close()
        assert len(engine.batches) == 1
        with pytest.raises(TargetUnavailable, match="shutting down"):
            await waiting
        with pytest.raises(TargetUnavailable, match="shutting down"):
            await scheduler.run(a_feed(1))
        await engine.first
        await scheduler.drained()

    run(test)


class Count(Observer):
    """Remembers all it is told."""

    def __init__(self) -> None:
        self.waits, self.passes, self.depth = [], [], []

    def queued(self, feeds: int) -> None:
        self.depth.append(feeds)

    def passed(self, feeds: int, tokens: int, seconds: float) -> None:
        self.passes.append((feeds, tokens))

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_the_observer_hears_of_everything():
    async def test() -> None:
        engine, seen = Gated(), Count()
        # However slow the machine, the short feed is not long ago.
        scheduler = await occupied(engine, observer=seen, chunk=10, calm=math.inf)
        jobs = [scheduler.submit(a_feed(slot, 1 + 14 * slot)) for slot in range(2)]
        engine.gate.release(100)
        await asyncio.gather(*jobs)
        await scheduler.close()
        assert seen.passes == [(1, 1), (2, 6), (1, 10)]
        assert len(seen.waits) == 3
        assert (max(seen.depth), seen.depth[-1]) == (2, 0)

    run(test)


@pytest.mark.parametrize(("tokens", "passes"), [(33, 1), (WINDOW, 1), (WINDOW + 1, 3)])
def test_a_devices_window_is_read_in_one_pass_however_small_the_engines_chunk(tokens, passes):
    async def test() -> None:
        engine = Gated(open_gate=True)
        engine.chunk = 16
        scheduler = Scheduler(engine)
        await scheduler.run(a_feed(0, tokens))
        assert len(engine.batches) == passes
        await scheduler.close()

    run(test)
