"""What is drawn from a whole vocabulary, and whether it is close, is as if every token had been scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scoring import noise
from cloud_target.engine.scoring.closeness import close
from cloud_target.engine.scoring.sampling import supports
from cloud_target.engine.scoring.uncut import Uncut
from shared.config import Sampling
from shared.noise import DRAW, Peaks, key

CPU = torch.device("cpu")


def plain(logits: torch.Tensor, temperatures: list[float], keys: torch.Tensor, slack: float) -> tuple:
    """The drawn tokens, and whether another one scores within the slack: noise for all of them."""
    inverse = torch.tensor([1 / t for t in temperatures], dtype=torch.float64)[:, None]
    log_p = torch.log_softmax(logits.double() * inverse, 1)
    score = log_p + noise.gumbel(keys[:, None], torch.arange(logits.shape[1]))
    best = score.amax(1, keepdim=True)
    return score.argmax(1), (score >= best - 2 * slack * inverse).sum(1) > 1


@pytest.mark.parametrize("at_once", [1, 700, 1 << 16])
@settings(deadline=None)
@given(
    temperatures=st.lists(st.sampled_from([1e-5, 0.3, 0.7, 1.0, 2.5, 10.0]), min_size=1, max_size=6),
    vocabulary=st.sampled_from([1, 2, 300, 3000]),
    spread=st.sampled_from([0.0, 0.3, 3.0, 30.0]),
    seed=st.integers(0, 2**32 - 1),
    slack=st.sampled_from([0.0, 1e-3, 0.3]),
)
def test_equals_noise_for_every_token(at_once, temperatures, vocabulary, spread, seed, slack):
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(0, spread, (len(temperatures), vocabulary)).astype(np.float32))
    if seed % 2:  # tokens that a grammar forbids
        logits[:, random.integers(0, vocabulary, vocabulary // 2)] = -1e9
    logits -= logits.amax(1, keepdim=True)
    samplings = [Sampling(t, 0, 1.0, seed + i) for i, t in enumerate(temperatures)]
    keys = noise.keys(((s.seed, 7 + i) for i, s in enumerate(samplings)), DRAW, CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "_AT_ONCE", at_once)
        [support] = supports(logits, samplings, slack)
        assert isinstance(support, Uncut)
        own, is_close = support.draw(keys)
        expected, expected_close = plain(logits, temperatures, keys, slack)
        assert own.equal(expected)
        assert is_close.equal(expected_close)
        assert close(logits, samplings, own, keys, slack).equal(expected_close)
        another = (own + 1) % vocabulary  # next to any other token the drawn one is a rival
        assert close(logits, samplings, another, keys, slack).equal(another != own)
        [support] = supports(logits, samplings)
        own, is_close = support.draw(keys)
        assert own.equal(expected)
        assert is_close is None


@given(st.integers(0, 2**64 - 1), st.integers(0, 10**6), st.integers(1, 3000), st.floats(-5, 40))
def test_the_noise_is_high_where_the_device_finds_it(seed, position, vocabulary, least):
    found = noise.are_high(noise.keys([(seed, position)], DRAW, CPU), vocabulary, least)
    expected = Peaks(vocabulary).above(key(seed, position), least)
    assert found[0].nonzero().squeeze(1).tolist() == expected.tolist()


def test_a_row_that_is_no_number_is_drawn_somehow():
    logits = torch.full((2, 500), torch.nan)
    [support] = supports(logits, [Sampling(1.0, 0, 1.0)] * 2, slack=1e-3)
    own, _ = support.draw(torch.tensor([3, 4]))
    assert ((own >= 0) & (own < 500)).all()


def test_few_tokens_are_scored(monkeypatch):
    scored = 0
    gumbel = noise.gumbel

    def counted(keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        nonlocal scored
        scored += ids.numel()
        return gumbel(keys, ids)

    monkeypatch.setattr(noise, "gumbel", counted)
    for spread, temperature in ((0.1, 1.0), (3.0, 1.0), (10.0, 1.0), (3.0, 0.2)):
        logits = torch.from_numpy(np.random.default_rng(2).normal(0, spread, (8, 20_000)).astype(np.float32))
        scored = 0
        [support] = supports(
            logits - logits.amax(1, keepdim=True), [Sampling(temperature, 0, 1.0, i) for i in range(8)]
        )
        support.draw(torch.arange(8) * 977_771)
        assert scored < 8 * 20_000 / 100
