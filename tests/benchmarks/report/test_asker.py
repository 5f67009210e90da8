"""Fixed thresholds on a score: nothing steers them, and one is found for any divergence that the score can leave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.asker import UNSTEERED, Asker, Point, setting_at
from shared.steering.budget import Budget


@given(
    st.lists(
        st.tuples(st.integers(0, 32), st.lists(st.tuples(st.floats(0, 1.1), st.booleans()), max_size=32)), max_size=20
    )
)
def test_whatever_audits_find_only_what_the_score_doubts_is_asked(audits) -> None:
    asker, budget = Asker(lambda step, draw: step, threshold=0.5), Budget(UNSTEERED)
    for off_target, doubted in audits:
        for doubt, _ in doubted:
            budget.doubted(doubt)
        errors = [is_error for _, is_error in doubted]
        budget.observe(min(off_target, len(doubted)), len(doubted), [doubt for doubt, _ in doubted], errors)
        assert asker(0.4, None) <= budget.threshold < asker(0.6, None)


def test_scores_are_kept() -> None:
    asker = Asker(lambda step, draw: step)
    asker(0.25, None)
    asker(0.75, None)
    assert asker.seen == [0.25, 0.75]


def test_without_a_score_of_its_own_it_takes_one_by_name() -> None:
    with pytest.raises(KeyError):
        Asker("no such score")
    assert Asker("chance")(None, None) in (0.0, 1.000001)


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(st.just(n), st.floats(0, 0.3), st.integers(0, 2**16))))
def test_a_threshold_for_a_divergence_lies_where_the_curve_has_it(drawn) -> None:
    count, divergence, seed = drawn
    random = np.random.default_rng(seed)
    thresholds, rates = np.sort(random.random(count)), np.sort(random.random(count)) * 0.3
    curve = [Point(a, 1 - a, b, 2 * b) for a, b in zip(thresholds.tolist(), rates.tolist(), strict=True)]
    random.shuffle(curve)
    found = setting_at(curve, "typical", divergence)
    assert thresholds[0] <= found <= thresholds[-1]
    assert np.interp(found, thresholds, rates) == pytest.approx(np.clip(divergence, rates[0], rates[-1]), abs=1e-6)
    assert setting_at(curve, "strict", 2 * divergence) == pytest.approx(found)


def test_points_of_few_texts_that_contradict_each_other_are_evened_out() -> None:
    noisy = [Point(0.1, 0.9, 0.0, 0), Point(0.4, 0.5, 0.03, 0), Point(0.6, 0.3, 0.01, 0), Point(0.9, 0.1, 0.05, 0)]
    assert 0.1 < setting_at(noisy, "typical", 0.015) < 0.4
    assert 0.6 < setting_at(noisy, "typical", 0.03) < 0.9
