"""The draft's draw: truncation the plain way, exactness of the shortcut, and the distribution itself."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from shared import noise
from shared import sampling as sampling_module
from shared.config import COLDEST, Sampling
from shared.draw import MARGIN_LIMIT, OUTSIDERS
from shared.sampling import Sampler

LOGITS = st.lists(st.floats(-12, 12, width=32), min_size=2, max_size=16).map(
    lambda values: np.sort(np.array(values, np.float32))[::-1].copy()
)
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 0.7, 1.0, 1.5]),
    top_k=st.sampled_from([0, 1, 3]),
    top_p=st.sampled_from([0.5, 0.9, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)


def plain(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """q over the candidates, ``float64 [K]``, one rule after the other."""
    if sampling.temperature == 0:
        return np.eye(len(logits))[0]
    q = np.exp((logits.astype(np.float64) - logits[0]) / sampling.temperature)
    if sampling.top_k:
        q[sampling.top_k :] = 0
    q /= q.sum()
    before = q.cumsum() - q
    q[before >= sampling.top_p] = 0
    return q / q.sum()


@given(LOGITS, SAMPLINGS, st.integers(0, 5000))
def test_truncation_is_temperature_then_top_k_then_top_p(logits, sampling, position):
    ids = np.arange(len(logits))[::-1] * 7
    draw = Sampler(sampling).draw(ids, logits, position)
    expected = plain(logits, sampling)
    kept, q = draw.distribution
    # A sum that meets top-p to the last bit may fall on either side; what underflows weighs nothing anyway.
    lost = expected[draw.survivors :].sum()
    assert lost < 1e-9 or draw.survivors == np.count_nonzero(expected) - 1
    np.testing.assert_array_equal(kept, ids[: draw.survivors])
    assert abs(q.sum() - 1) < 1e-9
    if draw.survivors == np.count_nonzero(expected):
        np.testing.assert_allclose(q, expected[: draw.survivors], atol=1e-9)
    assert ids[draw.index] == draw.token
    assert np.isclose(np.exp(draw.log_q), q[draw.index])
    assert 0 <= draw.noisy_margin <= MARGIN_LIMIT


@given(LOGITS, st.floats(0, 10), st.integers(0, 5000))
@example(np.array([3, 1, 1], np.float32), 1e-310, 0)
@example(np.array([3, 3, 1], np.float32), 5e-324, 0)
@example(np.array([12, -12], np.float32), COLDEST, 0)
def test_whatever_the_temperature_all_is_a_number(logits, temperature, position):
    sampling = Sampling(temperature=temperature)
    draw = Sampler(sampling).draw(np.arange(len(logits)), logits, position)
    assert np.isfinite([draw.log_q, draw.noisy_margin, draw.rival_gap, *draw.distribution[1]]).all()
    assert sampling.temperature == (temperature if temperature >= COLDEST else 0)
    if temperature < 1e-3:  # so that what is left to chance is too little to be met with
        assert logits[draw.index] >= logits[0] - 40 * temperature


@given(LOGITS, SAMPLINGS, st.integers(0, 5000), st.floats(0, 2))
def test_knowing_the_normaliser_changes_nothing(logits, sampling, position, tail):
    """`tail` is what the candidates lack of the whole vocabulary's mass."""
    log_normaliser = float(np.log(np.exp(logits.astype(np.float64)).sum()) + tail)
    ids = np.arange(len(logits))
    slow = Sampler(sampling).draw(ids, logits, position)
    fast = Sampler(sampling).draw(ids, logits, position, log_normaliser)
    for name in ("token", "index", "survivors", "log_q", "noisy_margin", "rival", "rival_gap"):
        assert getattr(fast, name) == getattr(slow, name)


@given(LOGITS, SAMPLINGS, st.integers(0, 5000))
def test_the_rival_is_the_best_of_the_rest(logits, sampling, position):
    """By the definition: of all that survived, and a few that did not, by log q + g; greedily by their logits."""
    ids = np.arange(len(logits)) * 7
    draw = Sampler(sampling).draw(ids, logits, position)
    score = logits.astype(np.float64)
    running = len(logits)
    if sampling.temperature:
        running = min(draw.survivors + OUTSIDERS, running)
        score = score / sampling.temperature + noise.gumbel(noise.key(sampling.seed, position), ids)
    gaps = {7 * rank: score[draw.index] - score[rank] for rank in range(running) if rank != draw.index}
    assert np.isclose(draw.rival_gap, min(MARGIN_LIMIT, *gaps.values()), atol=1e-6)
    assert np.isclose(draw.rival_gap, min(MARGIN_LIMIT, gaps[draw.rival]), atol=1e-6)
    if draw.survivors > 1:
        assert draw.noisy_margin >= draw.rival_gap


@given(SAMPLINGS, st.integers(0, 5000))
def test_one_candidate_has_no_rival(sampling, position):
    draw = Sampler(sampling).draw(np.array([7]), np.array([1.5], np.float32), position)
    assert (draw.token, draw.rival, draw.rival_gap, draw.noisy_margin) == (7, 7, MARGIN_LIMIT, MARGIN_LIMIT)


def test_draws_are_distributed_as_q():
    logits = np.array([2.0, 1.5, 0.5, 0.0, -1.0], np.float32)
    sampling = Sampling(1.0, 0, 1.0, seed=5)
    sampler, ids, runs = Sampler(sampling), np.arange(5) * 100, 8000
    seen = np.bincount([sampler.draw(ids, logits, position).index for position in range(runs)], minlength=5)
    due = plain(logits, sampling) * runs
    assert ((seen - due) ** 2 / due).sum() < 25  # four degrees of freedom


@given(st.integers(0, 2**64 - 1), st.integers(0, 10**6), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=8))
def test_noise_of_one_token_is_the_same_number(seed, position, tokens):
    key = noise.key(seed, position)
    one_by_one = [noise.gumbel_of(key, token) for token in tokens]
    np.testing.assert_allclose(one_by_one, noise.gumbel(key, np.array(tokens)), rtol=1e-13, atol=1e-13)


def test_few_and_many_survivors_are_drawn_alike(monkeypatch):
    random = np.random.default_rng(0)
    ids = random.permutation(4096)[:12]
    for position in range(300):
        logits = np.sort(random.normal(0, 2, 12).astype(np.float32))[::-1].copy()
        sampler = Sampler(Sampling(1.0, 0, 1.0, seed=9))
        few = sampler.draw(ids, logits, position)
        with monkeypatch.context() as patch:
            patch.setattr(sampling_module, "_FEW", 0)
            many = sampler.draw(ids, logits, position)
        assert few.token == many.token
        assert np.isclose(few.noisy_margin, many.noisy_margin)
        assert few.rival == many.rival
