"""The engine whose tokens are hashes: right where it is fed rightly, wrong where not."""

from __future__ import annotations

import pytest

from benchmarks.fleet.device import Device
from benchmarks.fleet.engine import HashEngine, own_token
from cloud_target.engine.interface import Feed
from shared import prefix_hash
from shared.config import Sampling

GREEDY = Sampling(0.0, 0, 1.0, 0)


def engine(slept: list[float]) -> HashEngine:
    return HashEngine(Device(), 4, slept.append, lambda: 0.0)


def fed(target: HashEngine, start: int, tokens: tuple[int, ...], slot: int = 0) -> list[int]:
    [scores] = target.forward([Feed(slot, start, tokens, 0, GREEDY)])
    return [int(token) for token in scores.own]


def test_a_token_hangs_on_everything_before_it() -> None:
    target = engine([])
    assert fed(target, 0, (5, 6, 7)) == [own_token(prefix_hash.extend(0, ids)) for ids in ((5,), (5, 6), (5, 6, 7))]
    assert fed(target, 3, (8,)) == fed(target, 0, (5, 6, 7, 8), slot=1)[-1:]
    assert fed(target, 0, (4, 6, 7, 8), slot=2)[-1:] != fed(target, 3, (8,))


def test_given_tokens_are_judged_by_what_the_target_would_have_written() -> None:
    target = engine([])
    own = own_token(prefix_hash.extend(0, (5,)))
    [scores] = target.forward([Feed(0, 0, (5, own, own), 0, GREEDY)])
    assert scores.given.off_strict.tolist() == [False, True]


def test_passes_last_as_the_device_says_and_are_counted() -> None:
    slept: list[float] = []
    target = engine(slept)
    fed(target, 0, (5, 6, 7))
    assert slept == [pytest.approx(Device().seconds(3, 1))]
    assert (target.passes, target.read) == (1, 3)


def test_a_gap_in_a_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="holds 0 tokens, fed from 3"):
        fed(engine([]), 3, (8,))


def test_what_is_trimmed_and_copied_is_what_the_next_feed_builds_on() -> None:
    target = engine([])
    fed(target, 0, (5, 6, 7))
    target.copy(0, 1, 2)
    target.trim(0, 1)
    assert fed(target, 2, (9,), slot=1) == [own_token(prefix_hash.extend(0, (5, 6, 9)))]
    with pytest.raises(ValueError, match="holds 1 tokens"):
        fed(target, 2, (9,))
    target.trim(0)
    with pytest.raises(ValueError, match="holds 0 tokens"):
        fed(target, 1, (9,))
