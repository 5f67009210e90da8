"""Guesses get what room a pass has left, and delay nobody."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.scheduling.settings import SchedulerSettings
from cloud_target.scheduling.shares import share_out
from tests.cloud_target.scheduling.gated import CONTEXT, SCRIPT, VOCABULARY, Gated, a_feed, occupied, run

sizes = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 8)), min_size=1, max_size=20)


def guessing(slot: int, needed: int, guesses: int, start: int = 0) -> Feed:
    return replace(a_feed(slot, needed + guesses, start), score_from=needed - 1, spare=guesses)


@settings(max_examples=100, deadline=None)
@given(sizes, st.integers(0, 60))
def test_room_is_shared_evenly_and_never_exceeded(sizes, room):
    feeds = [guessing(slot, needed, guesses) for slot, (needed, guesses) in enumerate(sizes)]
    cut = share_out(feeds, room)
    for feed, shorter in zip(feeds, cut, strict=True):
        assert shorter == feed.with_guesses(shorter.spare)
        assert shorter.needed == feed.needed
    given_out = sum(feed.spare for feed in cut)
    assert given_out <= room
    shares = [shorter.spare for feed, shorter in zip(feeds, cut, strict=True) if shorter.spare < feed.spare]
    if shares:  # whoever gets less than it wants gets what the others get, and nothing is left over
        assert min(shares) >= max(feed.spare for feed in cut) - 1
        assert given_out == room


def test_a_feed_without_some_of_its_guesses():
    feed = guessing(0, 2, 3)
    assert feed.needed == 2
    assert feed.with_guesses(3) is feed
    assert feed.with_guesses(1) == guessing(0, 2, 1)
    assert feed.with_guesses(0) == a_feed(0, 2)


@pytest.mark.parametrize("wrong", [{"spare": -1}, {"spare": 3}, {"spare": 4}])
def test_guesses_that_leave_nothing_to_score(wrong):
    engine = ScriptedEngine(SCRIPT, VOCABULARY)
    with pytest.raises(ValueError, match="guesses"):
        engine.forward([replace(a_feed(0, 3), score_from=0, **wrong)])


def test_scores_are_those_of_the_feed_that_was_read():
    async def test() -> None:
        engine, alone = Gated(), ScriptedEngine(SCRIPT, VOCABULARY, 64, CONTEXT)
        scheduler = await occupied(engine, chunk=10)
        feeds = [guessing(slot, 1, 8) for slot in range(4)]
        jobs = [scheduler.submit(feed) for feed in feeds]
        engine.gate.release(2)
        found = await asyncio.gather(*jobs)
        assert sorted(tokens for _, tokens in engine.batches[1]) == [3, 3, 4, 4]  # ten guesses
        for feed, scores in zip(feeds, found, strict=True):
            [expected] = alone.forward([feed.with_guesses(len(scores.own) - 1)])
            assert scores.own.tolist() == expected.own.tolist()
        await scheduler.close()

    run(test)


def test_guesses_make_no_feed_long_and_none_wait():
    """Whoever has many of them does not wait as a prompt does, and takes no place in a pass from another."""

    async def test() -> None:
        engine = Gated()
        scheduler = await occupied(engine, chunk=6, pass_tokens=8)
        jobs = [scheduler.submit(guessing(slot, 1, 20)) for slot in range(8)]
        engine.gate.release(2)
        await asyncio.gather(*jobs)
        assert [slot for slot, _ in engine.batches[1]] == list(range(8))
        assert sum(tokens for _, tokens in engine.batches[1]) == 8 + 6
        await scheduler.close()

    run(test)


def test_prompts_and_guesses_share_a_chunk():
    async def test() -> None:
        engine = Gated()
        # However slow the machine, the short feed is not long ago.
        scheduler = await occupied(engine, chunk=20, calm=math.inf)
        jobs = [scheduler.submit(a_feed(0, 100)), *(scheduler.submit(guessing(slot, 1, 8)) for slot in (1, 2))]
        engine.gate.release(100)
        await asyncio.gather(*jobs)
        assert engine.batches[1] == [(1, 6), (2, 6), (0, 10)]
        await scheduler.close()

    run(test)


def test_writers_with_and_without_guesses_share_every_pass():
    async def test() -> None:
        engine = Gated(open_gate=True)
        scheduler = Scheduler(engine, settings=SchedulerSettings(chunk=40))

        async def write(slot: int, guesses: int) -> None:
            for position in range(20):
                await scheduler.run(guessing(slot, 1, guesses, position))

        await asyncio.gather(*(write(slot, 4 * (slot % 2)) for slot in range(6)))
        assert [len(batch) for batch in engine.batches] == [6] * 20
        assert [tokens for _, tokens in sorted(engine.batches[5])] == [1, 5, 1, 5, 1, 5]
        await scheduler.close()

    run(test)
