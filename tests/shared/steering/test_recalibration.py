"""What audits say of doubts adds up, and corrects a verifier that is wrong, quickly and not beyond."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.steering.recalibration import (
    CALIBRATED,
    INPUTS,
    LEAST_SLOPE,
    MEMORY,
    UNKNOWN,
    Evidence,
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


def text(seed: int, length: int) -> Evidence:
    found = Recalibration(CALIBRATED, Evidence())
    taught(found, *tokens(length, seed), unlike=0.1 * (seed % 3))
    return found.taught


TEXTS = st.lists(st.builds(text, st.integers(0, 50), st.integers(1, 120)), min_size=1, max_size=6)


@given(TEXTS, st.randoms(use_true_random=False))
def test_evidence_adds_up_in_any_order_but_for_what_fades(texts, random):
    whole = reduce(Evidence.then, texts, Evidence())
    random.shuffle(texts)
    other = reduce(Evidence.then, texts, Evidence())
    assert other.doubts == whole.doubts == sum(one.doubts for one in texts)
    summed = np.sum([one.precision for one in texts], 0)
    fade = (1 - 1 / MEMORY) ** whole.doubts
    for found in (whole, other):
        for diagonal in range(0, INPUTS**2, INPUTS + 1):
            assert fade * summed[diagonal] * (1 - 1e-9) <= found.precision[diagonal] <= summed[diagonal] * (1 + 1e-9)


@given(TEXTS, st.integers(0, 6))
def test_evidence_adds_up_however_it_is_split(texts, cut):
    whole = reduce(Evidence.then, texts, Evidence())
    first, second = (reduce(Evidence.then, part, Evidence()) for part in (texts[:cut], texts[cut:]))
    halves = first.then(second)
    assert halves.precision == pytest.approx(whole.precision)
    assert halves.pull == pytest.approx(whole.pull)


def test_a_text_goes_on_where_another_ended():
    log_odds, errors = tokens(160, 1, shift=1.0)
    whole, first = (Recalibration(UNKNOWN, Evidence()) for _ in range(2))
    taught(whole, log_odds, errors)
    taught(first, log_odds[:80], errors[:80])
    second = Recalibration(UNKNOWN, first.taught)
    assert (second.slope, second.shift) == pytest.approx((first.slope, first.shift))
    taught(second, log_odds[80:], errors[80:])
    assert (second.slope, second.shift, second.caution) == pytest.approx((whole.slope, whole.shift, whole.caution))
    assert first.taught.then(second.taught).pull == pytest.approx(whole.taught.pull)


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
    """One Newton step a call is near the optimum over all of them; what is older weighs less."""
    count = 960
    log_odds, errors = tokens(count, 2, slope, shift)
    found = Recalibration(prior, Evidence())
    taught(found, log_odds, errors, call=8)
    age = np.arange(count)[::-1] // 8 * 8
    x = np.stack((log_odds, np.ones(count), np.zeros(count)), 1)
    expected = map_by_torch(prior, x, errors, (1 - 1 / MEMORY) ** age)
    assert (found.slope, found.shift, found.caution) == pytest.approx(tuple(expected), abs=0.12)


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
    assert chance(found.slope * log_odds + found.shift).mean() == pytest.approx(0.15, abs=0.03)


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
    precision = np.reshape(found.taught.precision, (INPUTS, INPUTS))
    assert precision == pytest.approx(precision.T)
    assert np.linalg.eigvalsh(precision)[0] >= -1e-9 * (1 + abs(precision).max())
