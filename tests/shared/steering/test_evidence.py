"""Audited doubts add up, and their sums are what they were."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.steering.evidence import LOG_ODDS, MEMORY, UNLIKE, Evidence

AUDITS = st.lists(
    st.builds(
        lambda rows, unlike: Evidence.of(*(np.array(part) for part in zip(*rows, strict=True)), unlike),
        st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=40),
        st.floats(0, 9),
    ),
    min_size=1,
    max_size=6,
)


@given(AUDITS, st.randoms(use_true_random=False))
def test_evidence_adds_up_in_any_order_but_for_what_fades(audits, random):
    whole = reduce(Evidence.then, audits, Evidence())
    random.shuffle(audits)
    other = reduce(Evidence.then, audits, Evidence())
    assert other.doubts == whole.doubts == sum(one.doubts for one in audits)
    fade = (1 - 1 / MEMORY) ** whole.doubts
    for part in ("tokens", "errors"):
        summed = np.sum([getattr(one, part) for one in audits], 0)
        for found in (whole, other):
            assert (getattr(found, part) >= fade * summed - 1e-9).all()
            assert (getattr(found, part) <= summed + 1e-9).all()


@given(AUDITS, st.integers(0, 6))
def test_evidence_adds_up_however_it_is_split(audits, cut):
    whole = reduce(Evidence.then, audits, Evidence())
    first, second = (reduce(Evidence.then, part, Evidence()) for part in (audits[:cut], audits[cut:]))
    halves = first.then(second)
    assert halves.tokens == pytest.approx(whole.tokens)
    assert halves.errors == pytest.approx(whole.errors)


@given(st.lists(st.tuples(st.floats(-14, 14), st.booleans()), min_size=1, max_size=40), st.floats(0, 4))
def test_counts_have_the_sums_of_what_was_counted(rows, unlike):
    log_odds, is_error = (np.array(part) for part in zip(*rows, strict=True))
    found = Evidence.of(log_odds, is_error, unlike)
    rows_, columns, tokens, errors = found.counts
    assert tokens.sum() == pytest.approx(len(rows))
    assert errors.sum() == pytest.approx(is_error.sum())
    assert tokens @ rows_ == pytest.approx(log_odds.sum(), abs=1e-9)
    assert errors @ rows_ == pytest.approx(log_odds @ is_error, abs=1e-9)
    assert tokens @ columns == pytest.approx(len(rows) * unlike, abs=1e-9)
    assert (found.errors <= found.tokens).all()
    assert found.doubts == len(rows)


def test_what_is_beyond_the_grid_counts_at_its_edge():
    found = Evidence.of(np.array([-99.0, 99.0]), np.array([False, True]), 99.0)
    assert (found.tokens[0, -1], found.tokens[-1, -1], found.errors[-1, -1]) == (1, 1, 1)
    assert found.tokens.sum() == 2
    assert found.tokens.shape == (len(LOG_ODDS), len(UNLIKE))
