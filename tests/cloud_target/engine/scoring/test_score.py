"""Audits and judgements against the plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scoring.score import Row, score
from shared.config import TYPICAL_DELTA, TYPICAL_EPS, Sampling
from shared.coupling import judge_residual
from shared.sampling import Sampler

VOCABULARY = 12


def random_logits(count: int, seed: int, spread: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (count, VOCABULARY)).astype(np.float32)


def distribution(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    ids = np.argsort(-logits, kind="stable")
    draw = Sampler(sampling).draw(ids, logits[ids], 0)
    p = np.zeros(len(logits))
    p[draw.distribution[0]] = draw.distribution[1]
    return p


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 4.0]), st.sampled_from([0.0, 0.7, 1.0]))
def test_audit_follows_the_definitions(seed, spread, temperature):
    logits = random_logits(6, seed, spread)
    sampling = Sampling(temperature, 0, 0.9, seed)
    given_tokens = np.random.default_rng(seed).integers(0, VOCABULARY, 6).tolist()
    rows = [Row(10 + i, sampling, x) for i, x in enumerate(given_tokens)]
    result = score(torch.from_numpy(logits), rows)
    for i, x in enumerate(given_tokens):
        p1 = np.exp(logits[i].astype(float))
        p1 /= p1.sum()
        ids = np.argsort(-logits[i], kind="stable")
        own = Sampler(sampling).draw(ids, logits[i][ids], 10 + i).token
        assert result.own[i] == own
        assert result.off_strict[i] == (own != x)
        assert result.nll[i] == pytest.approx(-math.log(p1[x]), abs=1e-4)
        assert result.own_nll[i] == pytest.approx(-math.log(p1[own]), abs=1e-4)
        limit = min(TYPICAL_EPS, TYPICAL_DELTA * math.exp((p1 * np.log(p1)).sum()))
        for token, unlikely in ((x, result.unlikely[i]), (own, result.own_unlikely[i])):
            if abs(p1[token] - limit) > 1e-6:
                assert unlikely == (p1[token] < limit)


def test_a_row_without_a_given_token_still_gives_the_own_one():
    logits = torch.from_numpy(random_logits(1, 5))
    result = score(logits, [Row(3, Sampling(0.0))])
    assert result.own[0] == int(logits.argmax())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.7, 1.0]), st.sampled_from([0, 3]))
def test_residual_equals_the_plain_reading(seed, temperature, top_k):
    """The batched rule and the one of the scripted engine are two writings of one algorithm."""
    generator = np.random.default_rng(seed)
    logits, draft = random_logits(5, seed), random_logits(5, seed + 1)
    sampling = Sampling(temperature, top_k, 0.95, seed)
    rows, expected = [], []
    for i in range(5):
        q = distribution(draft[i], Sampling(1.0, 4, 1.0))
        ids = np.flatnonzero(q)
        x = int(generator.choice(ids))
        rows.append(Row(20 + i, sampling, x, (ids, q[ids])))
        expected.append(judge_residual(x, distribution(logits[i], sampling), (ids, q[ids]), sampling, 20 + i))
    result = score(torch.from_numpy(logits), rows)
    assert result.own.tolist() == expected
    assert result.off_strict.tolist() == [own != row.given for own, row in zip(expected, rows, strict=True)]


def chi_square(tokens: np.ndarray, p: np.ndarray) -> float:
    expected = p * len(tokens)
    return float(((np.bincount(tokens, minlength=len(p)) - expected) ** 2 / expected).sum())


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_residual_output_follows_p(temperature):
    """Chi-square: drafts from q, judged against p, are distributed as p.

    A fresh draw from p where x falls is not, and the same test tells it apart.
    """
    count, position = 12_000, 30
    p_logits, q_logits = random_logits(2, 11, 1.2)
    q_rows = np.argsort(-q_logits, kind="stable")
    p = distribution(p_logits, Sampling(temperature, 0, 1.0))
    rows = []
    for seed in range(count):
        draw = Sampler(Sampling(1.0, 6, 1.0, seed)).draw(q_rows, q_logits[q_rows], position)
        rows.append(Row(position, Sampling(temperature, 0, 1.0, seed), draw.token, draw.distribution))
    result = score(torch.from_numpy(p_logits).expand(count, -1), rows)
    limit = 33.1  # 0.0005 tail of chi-square with 11 degrees of freedom
    assert chi_square(result.own, p) < limit
    fresh = np.random.default_rng(1).choice(VOCABULARY, count, p=p)
    assert chi_square(np.where(result.off_strict, fresh, result.own), p) > 2 * limit


def test_equal_distributions_never_fall():
    logits = random_logits(1, 2)[0]
    p = distribution(logits, Sampling(1.0, 0, 1.0))
    ids = np.arange(VOCABULARY)
    rows = [Row(1, Sampling(1.0, 0, 1.0, seed), seed % VOCABULARY, (ids, p)) for seed in range(60)]
    result = score(torch.from_numpy(logits).expand(60, -1), rows)
    assert not result.off_strict.any()
