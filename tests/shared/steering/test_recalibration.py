"""What audits say of doubts adds up, and corrects a verifier that is wrong, quickly and not beyond."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.steering.evidence import MEMORY, Evidence
from shared.steering.recalibration import (
    CALIBRATED,
    LEAST_SLOPE,
    UNKNOWN,
    Recalibration,
    chance,
)


def tokens(count: int, seed: int, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of doubts, and whether each was an error; the doubts are honest with slope 1 and shift 0."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(-3.0, 1.5, count)
    return log_odds, random.random(count) < chance(slope * log_odds + shift)


def taught(found: Recalibration, log_odds: np.ndarray, errors: np.ndarray, call: int = 16, unlike: float = 0.0) -> None:
    """Teach it call by call."""
    for begin in range(0, len(log_odds), call):
        found.learn(log_odds[begin : begin + call], errors[begin : begin + call], unlike)


def test_a_text_goes_on_where_another_ended():
    log_odds, errors = tokens(160, 1, shift=1.0)
    whole, first = (Recalibration(UNKNOWN, Evidence()) for _ in range(2))
    taught(whole, log_odds, errors)
    taught(first, log_odds[:80], errors[:80])
    second = Recalibration(UNKNOWN, first.taught)
    assert (second.slope, second.shift) == pytest.approx((first.slope, first.shift), abs=1e-3)
    taught(second, log_odds[80:], errors[80:])
    found = (second.slope, second.shift, second.caution)
    assert found == pytest.approx((whole.slope, whole.shift, whole.caution), abs=1e-3)


def map_by_torch(prior, x: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The likeliest coefficients, by someone else's loss and optimiser."""
    x, errors, weights = (torch.tensor(a, dtype=torch.float64) for a in (x, errors, weights))
    believed = torch.distributions.Normal(
        *(torch.tensor(a, dtype=torch.float64) for a in (prior.mean, prior.deviation))
    )
    w = believed.mean.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([w], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        fit = torch.nn.functional.binary_cross_entropy_with_logits(x @ w, errors, weights, reduction="sum")
        found = fit - believed.log_prob(w).sum()
        found.backward()
        return found

    optimiser.step(loss)
    return w.detach().numpy()


@pytest.mark.parametrize("prior", [CALIBRATED, UNKNOWN])
@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (1.0, 1.5), (0.6, -1.0), (0.8, 2.5)])
def test_it_is_bayesian_logistic_regression(prior, slope, shift):
    """What is older weighs less."""
    count = 960
    log_odds, errors = tokens(count, 2, slope, shift)
    found = Recalibration(prior, Evidence())
    taught(found, log_odds, errors, call=8)
    age = np.arange(count)[::-1] // 8 * 8
    x = np.stack((log_odds, np.ones(count), np.zeros(count)), 1)
    expected = map_by_torch(prior, x, errors, (1 - 1 / MEMORY) ** age)
    assert (found.slope, found.shift, found.caution) == pytest.approx(tuple(expected), abs=0.08)


@pytest.mark.parametrize("prior", [CALIBRATED, UNKNOWN])
def test_honest_doubts_stay_honest(prior):
    found = Recalibration(prior, Evidence())
    taught(found, *tokens(3000, 3))
    log_odds, errors = tokens(50_000, 4)
    assert chance(found.slope * log_odds + found.shift).mean() == pytest.approx(errors.mean(), rel=0.2)
    assert found.slope == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("factor", [0.25, 4.0, 8.0])
def test_a_verifier_that_is_wrong_by_a_factor_is_corrected_within_some_hundred_tokens(factor):
    shift = float(np.log(factor))
    for seed in range(5):
        found = Recalibration(CALIBRATED, Evidence())
        taught(found, *tokens(400, seed, shift=shift))
        log_odds, errors = tokens(50_000, 99, shift=shift)
        expected = chance(found.slope * log_odds + found.shift).mean()
        assert 0.5 < expected / errors.mean() < 2


def test_a_verifier_that_sees_nothing_is_taken_for_one():
    """Its doubts rank nothing; the chance of an error is the same for all of them."""
    random = np.random.default_rng(6)
    log_odds, errors = random.normal(-5, 2, 4000), random.random(4000) < 0.15
    found = Recalibration(CALIBRATED, Evidence())
    taught(found, log_odds, errors)
    assert found.slope == LEAST_SLOPE
    assert chance(found.slope * log_odds + found.shift).mean() == pytest.approx(0.15, abs=0.08)


def test_caution_is_learned_from_unlike_texts_alone():
    usual, unlike = (Recalibration(CALIBRATED, Evidence()) for _ in range(2))
    log_odds, errors = tokens(600, 7, shift=2.0)
    taught(usual, *tokens(600, 7))
    assert usual.caution == pytest.approx(CALIBRATED.mean[2])
    taught(unlike, log_odds, errors, unlike=1.5)
    assert unlike.offset(1.5) == pytest.approx(2.0, abs=0.5)
    assert unlike.offset(0.0) < 1.2


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(st.floats(-14, 14), st.booleans()), min_size=1, max_size=40), st.floats(0, 50)),
        max_size=20,
    )
)
def test_no_audits_take_it_out_of_bounds(calls):
    found = Recalibration(UNKNOWN, Evidence())
    for rows, unlike in calls:
        log_odds, errors = zip(*rows, strict=True)
        found.learn(np.array(log_odds), np.array(errors), unlike)
        assert np.isfinite([found.slope, found.shift, found.caution]).all()
        assert found.slope >= LEAST_SLOPE


@pytest.mark.parametrize("call", [1, 32])
def test_where_no_error_is_found_the_chance_of_one_sinks_as_the_tokens_rise(call):
    """A sum over Gaussians, one an audit, would sink as their square root only: it is sure before it knows."""
    log_odds, _ = tokens(4000, 8)
    found, chances = Recalibration(UNKNOWN, Evidence()), []
    for part in (log_odds[:500], log_odds[500:]):
        taught(found, part, np.zeros(len(part), bool), call)
        chances.append(chance(found.slope * log_odds + found.shift).mean())
    assert chances[1] < chances[0] / 4


def test_a_verifier_for_none_is_believed_to_be_wrong_for_some_dozen_tokens_only():
    """Its doubts are large, as those of a draft that nobody trained a verifier for; and nothing is ever wrong."""
    log_odds = np.random.default_rng(9).normal(0.0, 2.0, 4000)
    found = Recalibration(UNKNOWN, Evidence())
    assert chance(found.slope * log_odds + found.shift).mean() > 0.6
    taught(found, log_odds[:48], np.zeros(48, bool))
    assert chance(found.slope * log_odds + found.shift).mean() < 0.03
    taught(found, log_odds[:80], np.zeros(80, bool))
    assert chance(found.slope * log_odds + found.shift).mean() < 0.01


@given(
    st.lists(st.tuples(st.floats(-30, 30), st.booleans(), st.floats(0, 6)), min_size=1, max_size=60), st.integers(1, 9)
)
def test_it_is_the_same_however_the_audits_came(rows, call):
    """But for what fades between them, which is nothing here to speak of."""
    whole = Recalibration(UNKNOWN, Evidence())
    for log_odds, is_error, unlike in rows:
        whole.learn(np.array([log_odds]), np.array([is_error]), unlike)
    known = Evidence()
    for begin in range(0, len(rows), call):
        text = Recalibration(UNKNOWN, known)
        for log_odds, is_error, unlike in rows[begin : begin + call]:
            text.learn(np.array([log_odds]), np.array([is_error]), unlike)
        known = known.then(text.taught)
    parts = Recalibration(UNKNOWN, known)
    found = (parts.slope, parts.shift, parts.caution)
    assert found == pytest.approx((whole.slope, whole.shift, whole.caution), abs=0.02)
