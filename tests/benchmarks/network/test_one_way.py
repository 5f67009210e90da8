"""When packets come out of a link, on a clock of the test's own."""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.network.one_way import QUEUE, OneWay, Stalls, both_ways
from benchmarks.network.profiles import PROFILES, Profile

PLAIN = Profile("plain", 0.1, "a link that only takes time")


def one_way(profile: Profile, rate: float = 0.0, seed: int = 0) -> OneWay:
    return OneWay(profile, rate, Stalls(profile.stall_every, profile.stall_for, seed), seed)


def test_half_a_round_trip_is_one_way() -> None:
    way = one_way(PLAIN)
    assert [way.arrival(now, 100) - now for now in (0.0, 1.0, 1.001)] == pytest.approx([0.05] * 3)


def test_what_is_sent_waits_for_what_was_sent_before_it() -> None:
    way = one_way(PLAIN, rate=8_000)  # 1,000 bytes a second
    assert [way.arrival(0.0, 100) for _ in range(3)] == pytest.approx([0.15, 0.25, 0.35])
    assert way.is_full(0.0)
    assert not way.is_full(0.31 - QUEUE)
    assert way.arrival(5.0, 100) == pytest.approx(5.15), "the queue is empty again"


def test_a_late_packet_holds_up_those_behind_it() -> None:
    way = one_way(PLAIN)
    assert [way.arrival(0.0, 1, late=0.4), way.arrival(0.1, 1), way.arrival(1.0, 1)] == pytest.approx(
        [0.45, 0.45, 1.05]
    )


@given(
    st.sampled_from(list(PROFILES.values())),
    st.integers(0, 99),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 1500)), max_size=60),
)
def test_order_is_kept_and_nothing_is_early(profile: Profile, seed: int, packets: list[tuple[float, int]]) -> None:
    for way in both_ways(profile, seed):
        now = before = 0.0
        for gap, size in packets:
            now += gap
            due = way.arrival(now, size)
            assert due >= max(before, now + profile.round_trip / 4)
            before = due


def test_jitter_is_of_the_size_that_the_profile_says() -> None:
    up, down = both_ways(replace(PLAIN, jitter=0.01), 3)
    trips = []
    for now in range(4000):
        there = up.arrival(float(now), 50)
        trips.append(down.arrival(there, 50) - now)
    assert statistics.mean(trips) == pytest.approx(0.1, abs=0.001)
    assert statistics.stdev(trips) == pytest.approx(0.01, rel=0.05)


def test_jitter_wanders() -> None:
    way = one_way(replace(PLAIN, jitter=0.01))
    delays = [way.arrival(now / 1000, 50) - now / 1000 for now in range(1000)]
    steps = [abs(b - a) for a, b in pairwise(delays)]
    assert max(steps) < 0.005 < max(delays) - min(delays)


def test_the_share_that_the_profile_says_is_lost() -> None:
    way = one_way(replace(PLAIN, loss=0.03))
    assert sum(way.loses() for _ in range(20_000)) == pytest.approx(600, rel=0.15)
    assert not any(one_way(PLAIN).loses() for _ in range(100))


def test_nothing_passes_in_a_stall_in_either_direction() -> None:
    up, down = both_ways(replace(PLAIN, stall_every=2.0, stall_for=0.5), 1)
    delays = [[way.arrival(now / 100, 50) - now / 100 for way in (up, down)] for now in range(20_000)]
    held = [number for number, (there, _) in enumerate(delays) if there > 0.051]
    assert len(held) / 20_000 == pytest.approx(0.5 / 2.5, rel=0.2)
    assert held == [number for number, (_, back) in enumerate(delays) if back > 0.051]
    assert max(there for there, _ in delays) < 0.05 + 0.75 + 0.011


def test_a_seed_is_a_link() -> None:
    def times(seed: int) -> list[float]:
        way = one_way(PROFILES["mobile"], seed=seed)
        return [way.arrival(now / 10, 100) for now in range(500)]

    assert times(4) == times(4) != times(5)
