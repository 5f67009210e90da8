"""The promise is kept by the audits, whatever the verifier is worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.promise.budget import ALARM, CREDIT, HIGHEST, Budget, Steering


@pytest.mark.parametrize("limit", [0.01, 0.05])
@pytest.mark.parametrize("doubt", ["blind and sure", "blind", "good"])
def test_the_divergence_rate_meets_the_budget(limit, doubt):
    """Audits come late, by up to 32 tokens, and 15 % of what the draft writes is off-target."""
    random = np.random.default_rng(0)
    budget, late, tokens, off_target, asked = Budget(limit, limit), [], 20_000, 0, 0
    for _ in range(tokens):
        is_off = random.random() < 0.15
        drawn = {
            "blind and sure": 1e-5,
            "blind": random.random(),
            "good": min(max(random.normal(0.6 if is_off else 0.1, 0.2), 0.0), 1.0),
        }[doubt]
        asks = drawn > budget.threshold
        asked += asks
        late.append(is_off and not asks)
        off_target += late[-1]
        if asks or len(late) == 32:
            budget.observe(sum(late), len(late))
            late.clear()
    assert off_target / tokens <= 1.1 * limit
    assert asked < tokens


def run(budget: Budget, doubt: np.ndarray, is_off: np.ndarray, window: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Sprint over made-up tokens; returns which are shown off-target and which are asked, ``bool [N]``."""
    shown_off, asked = np.zeros(len(doubt), bool), np.zeros(len(doubt), bool)
    begin = 0
    for i in range(len(doubt)):
        asked[i] = doubt[i] > budget.threshold
        shown_off[i] = is_off[i] and not asked[i]
        if asked[i] or i + 1 - begin == window:
            budget.observe(int(shown_off[begin : i + 1].sum()), i + 1 - begin)
            begin = i + 1
    return shown_off, asked


@pytest.mark.parametrize("window", [32, 64, 256])
@pytest.mark.parametrize("limit", [0.005, 0.1])
def test_no_window_is_too_wide_for_the_promise(limit, window):
    """A verifier that is sure of everything, and a draft that is always wrong: errors come by the window."""
    count = 100_000
    shown_off, asked = run(Budget(limit, limit), np.full(count, 1e-6), np.ones(count, bool), window)
    assert shown_off.sum() <= limit * count + window
    assert not asked.all()


def tokens(count: int, off: float, seed: int, skill: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Doubts and errors of a verifier that separates them by `skill` standard deviations."""
    random = np.random.default_rng(seed)
    is_off = random.random(count) < off
    return 1 / (1 + np.exp(-(random.normal(-3, 1, count) + skill * is_off))), is_off


@pytest.mark.parametrize("limit", [0.01, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("start", [0.001, 0.05, 0.9])
def test_the_promise_is_kept_and_not_by_asking_for_more_than_it_takes(limit, start):
    doubt, is_off = tokens(20_000, 0.15, seed=1)
    shown_off, asked = run(Budget(limit, start), doubt, is_off)
    assert 0.8 * limit <= shown_off.mean() <= limit
    order = np.argsort(doubt)
    needed = 1 - np.searchsorted(is_off[order].cumsum(), shown_off.sum(), side="right") / len(doubt)
    assert asked.mean() <= needed + 0.04


def test_a_draft_that_keeps_the_budget_by_itself_is_hardly_asked_about():
    doubt, is_off = tokens(10_000, 0.004, seed=2)
    shown_off, asked = run(Budget(0.01, 0.02), doubt, is_off)
    assert shown_off[2000:].mean() < 0.01
    assert asked[2000:].mean() < 0.01


@pytest.mark.parametrize("limit", [0.01, 0.05])
def test_after_a_change_for_the_worse_the_budget_is_kept_again_within_300_tokens(limit):
    """Errors become five times as many, and the verifier hardly tells them from the rest any more."""
    budget = Budget(limit, 0.1)
    run(budget, *tokens(10_000, 0.05, seed=3))
    doubt, is_off = tokens(6_000, 0.25, seed=4, skill=0.5)
    shown_off, _ = run(budget, doubt, is_off)
    assert shown_off[300:].mean() <= limit


def test_debt_is_an_alarm_and_credit_is_bounded():
    budget = Budget(0.01, 0.5)
    assert not budget.overspent
    budget.observe(int(ALARM) + 1, 32)
    assert budget.overspent
    for _ in range(1000):
        budget.observe(0, 32)
    assert budget.steering.debt == -CREDIT


@given(st.lists(st.tuples(st.integers(0, 32), st.integers(0, 32)), max_size=60), st.integers(0, 59), st.floats(1e-4, 1))
def test_a_resumed_budget_goes_on_as_if_nothing_had_been(audits, cut, limit):
    whole = Budget(limit, 0.3)
    part = Budget(limit, 0.3)
    for i, (off_target, fine) in enumerate(audits):
        if i == cut:
            part = Budget.resume(limit, part.steering)
        for budget in (whole, part):
            budget.observe(off_target, off_target + fine)
    assert part.threshold == whole.threshold
    assert part.steering == whole.steering


def test_a_target_that_says_no_to_all_makes_it_ask_about_all_and_no_more():
    budget = Budget(0.05, 0.3)
    for _ in range(10_000):
        budget.observe(32, 32)
    assert budget.threshold < 0
    assert budget.steering.log_odds >= -14
    for _ in range(3_000):
        budget.observe(0, 32)
    assert budget.threshold == pytest.approx(HIGHEST)


def test_steering_from_elsewhere_is_kept_in_bounds():
    assert Budget.resume(0.01, Steering(1e9)).threshold == pytest.approx(HIGHEST)
    assert Budget.resume(0.01, Steering(-1e9)).threshold < 0


def test_a_verifier_that_is_certain_of_everything_does_not_break_the_promise():
    """Its doubt is 0.0 to the last bit, so no threshold of 0 or more would ever ask."""
    doubt, is_off = np.zeros(6000), np.random.default_rng(5).random(6000) < 0.3
    shown_off, asked = run(Budget(0.05, 0.5), doubt, is_off)
    assert 0.03 <= shown_off.mean() <= 0.05
    assert asked.mean() < 0.95


def test_a_table_that_says_never_ask_is_soon_corrected():
    """Of the text's 128 tokens 13 would be errors, and the verifier knows which."""
    budget, errors = Budget(0.02, 1.0), 0
    for position in range(128):
        is_error = position % 10 == 0 and budget.threshold >= 0.8
        errors += is_error
        budget.observe(is_error, 1)
    assert errors <= 4


@given(st.lists(st.tuples(st.integers(0, 32), st.integers(0, 32)), max_size=400), st.floats(0, 1), st.floats(1e-4, 1))
def test_the_threshold_stays_a_probability(audits, threshold, limit):
    budget = Budget(limit, threshold)
    for off_target, fine in audits:
        budget.observe(off_target, off_target + fine)
        assert -1 <= budget.threshold < 1
