"""An answer that is not close stands, however its logits are off within the slack."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scoring import sampling
from cloud_target.engine.scoring.score import Row, RowScores, score
from shared.config import Sampling

VOCABULARY, ROWS = 60, 6
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-6, 0.1, 0.7, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 3, 10, 59, 500]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.999, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)


def logits_with_ties(chance: np.random.Generator, slack: float) -> np.ndarray:
    """Some tokens are nearly as good as others."""
    logits = chance.normal(0, chance.choice([0.5, 2.0, 6.0]), (ROWS, VOCABULARY))
    pairs = chance.permutation(VOCABULARY)[:30].reshape(2, 15)
    logits[:, pairs[0]] = logits[:, pairs[1]] + chance.uniform(-4, 4, (ROWS, 15)) * slack
    return logits.astype(np.float32)


def answers(scores: RowScores) -> list[tuple]:
    return list(
        zip(scores.own, scores.own_unlikely, scores.off_strict, scores.unlikely, scores.beside_unlikely, strict=True)
    )


@pytest.mark.parametrize("candidates", [(8, 32), (60,)])
@settings(deadline=None)
@given(
    parameters=st.lists(samplings, min_size=ROWS, max_size=ROWS),
    seed=st.integers(0, 2**32 - 1),
    slack=st.sampled_from([1e-4, 1e-3, 0.02]),
)
def test_what_is_not_close_cannot_be_turned(candidates, parameters, seed, slack):
    chance = np.random.default_rng(seed)
    logits = logits_with_ties(chance, slack)
    rows = [Row(int(chance.integers(1, 999)), s, int(chance.integers(VOCABULARY))) for s in parameters]
    beside = [(i, int(chance.integers(VOCABULARY))) for i in range(ROWS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "CANDIDATES", candidates)
        found = score(torch.from_numpy(logits), rows, beside, slack)
        stands = ~found.close
        for kind in range(6):
            off = chance.uniform(-1, 1, logits.shape)
            if kind > 1:  # the worst there is: all as far as it goes, and the drawn token alone the other way
                off = np.where(chance.random(logits.shape) < 0.5, -1, 1)
            if kind > 3:
                off[:] = 1 if kind == 4 else -1
                off[np.arange(ROWS), found.own] *= -1
            turned = score(torch.from_numpy((logits + 0.99 * slack * off).astype(np.float32)), rows, beside)
            for i in np.flatnonzero(stands):
                assert answers(found)[i] == answers(turned)[i]


@pytest.mark.parametrize("parameters", [Sampling(0.7, 0, 0.9), Sampling(0.0), Sampling(1.0, 0, 1.0), Sampling(1.0, 40)])
def test_few_answers_are_close(parameters):
    """Each costs a reading of the whole text, so they must be as seldom as the slack is small."""
    chance, slack = np.random.default_rng(3), 1e-4
    logits = torch.from_numpy(chance.normal(0, 3, (4000, 500)).astype(np.float32))
    rows = [Row(i, Sampling(parameters.temperature, parameters.top_k, parameters.top_p, i)) for i in range(4000)]
    assert score(logits, rows, slack=slack).close.sum() <= 8
    assert score(logits, rows, slack=100 * slack).close.sum() > 20
    assert not score(logits, rows).close.any()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_tie_is_close(temperature):
    logits = torch.full((1, 50), -30.0)
    logits[0, [7, 9]] = torch.tensor([2.0, 2.0])
    seeds = range(20) if temperature else range(1)
    found = [score(logits, [Row(1, Sampling(temperature, seed=seed))], slack=1e-4).close[0] for seed in seeds]
    assert any(found) == (temperature == 0)  # with noise, two equal logits are as far apart as any
