"""The highest doubt that may be shown uses up what is allowed, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.steering.allowance import highest
from shared.steering.recalibration import chance

# Apart by more than rounding could join.
DOUBTS = st.lists(st.integers(-1300, 1300), min_size=1, max_size=200, unique=True).map(
    lambda found: np.array(found) / 100
)
SLOPES = st.floats(0.25, 3)
OFFSETS = st.floats(-5, 5)
ALLOWED = st.floats(1e-6, 0.5)


def expected(doubts: np.ndarray, slope: float, offset: float) -> float:
    """Errors among them."""
    return float(chance(slope * doubts + offset).sum())


@given(DOUBTS, SLOPES, OFFSETS, ALLOWED)
def test_what_is_shown_holds_what_is_allowed_and_one_more_would_not(doubts, slope, offset, allowed):
    limit = highest(doubts, slope, offset, allowed)
    shown = doubts[doubts <= limit]
    room = allowed * len(doubts)
    assert expected(shown, slope, offset) <= room * (1 + 1e-9)
    if len(shown) < len(doubts):
        following = doubts[doubts > limit].min()
        assert expected(np.append(shown, following), slope, offset) > room * (1 - 1e-9)


@given(DOUBTS, SLOPES, OFFSETS, ALLOWED, st.randoms(use_true_random=False))
def test_the_order_of_the_doubts_does_not_matter(doubts, slope, offset, allowed, random):
    other = doubts.tolist()
    random.shuffle(other)
    assert highest(np.array(other), slope, offset, allowed) == highest(doubts, slope, offset, allowed)


@given(DOUBTS, SLOPES, OFFSETS, ALLOWED, st.floats(0, 0.3), st.floats(0, 2))
def test_it_rises_with_what_is_allowed_and_falls_with_the_odds_of_an_error(doubts, slope, offset, allowed, more, worse):
    limit = highest(doubts, slope, offset, allowed)
    assert highest(doubts, slope, offset, allowed + more) >= limit
    assert highest(doubts, slope, offset + worse, allowed) <= limit


@given(DOUBTS, SLOPES, OFFSETS, ALLOWED, st.floats(0, 2))
def test_below_even_odds_a_steeper_slope_shows_no_less(doubts, slope, offset, allowed, steeper):
    doubts = doubts[doubts < 0]
    if len(doubts):
        flat, steep = (highest(doubts, how, offset, allowed) for how in (slope, slope + steeper))
        assert (doubts <= steep).sum() >= (doubts <= flat).sum()


def test_where_all_may_be_shown_so_may_some_that_were_not_seen_yet():
    assert highest(np.full(100, -8.0), 1.0, 0.0, 0.02) == np.inf
    # Two errors in a hundred tokens are allowed, and 1.8 expected: one that is a fifth of an error is the last.
    limit = highest(np.full(100, np.log(0.018 / 0.982)), 1.0, 0.0, 0.02)
    assert chance(np.float64(limit)) == pytest.approx(0.2)


def test_a_single_doubt_is_shown_if_it_is_allowed():
    assert highest(np.array([-5.0]), 1.0, 0.0, 0.05) > -5
    assert highest(np.array([-1.0]), 1.0, 0.0, 0.05) < -1
