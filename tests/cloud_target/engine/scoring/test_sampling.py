"""The batched truncation is the shared sampler's, row by row, whichever way a row is settled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scoring import noise, sampling
from shared.config import Sampling
from shared.noise import DRAW
from shared.sampling import Sampler

CPU = torch.device("cpu")
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 0.7, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 2, 5, 11, 40, 400]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.99, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)


def draw_all(logits: torch.Tensor, rows: list[Sampling], positions: list[int]) -> tuple[list[int], list[dict]]:
    """Own tokens and distributions (id -> probability) by the batched code."""
    keys = noise.keys(((s.seed, position) for s, position in zip(rows, positions, strict=True)), DRAW, CPU)
    tokens, distributions = [-1] * len(rows), [{}] * len(rows)
    for support in sampling.supports(logits - logits.amax(1, keepdim=True), rows):
        drawn, _ = support.draw(keys)
        for place, row in enumerate(support.rows.tolist()):
            tokens[row] = int(drawn[place])
            ids, p = support.distribution(place)
            alive = p > 0
            distributions[row] = dict(zip(ids[alive].tolist(), p[alive].tolist(), strict=True))
    return tokens, distributions


@pytest.mark.parametrize("candidates", [(4,), (3, 16, 64), (128, 2048), (300,)])
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(samplings, min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1), ties=st.booleans())
def test_equals_the_shared_sampler(candidates, rows, seed, ties):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (len(rows), 300)).astype(np.float32)
    if ties:
        logits = np.round(logits)
    positions = generator.integers(1, 1000, len(rows)).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "CANDIDATES", candidates)
        tokens, distributions = draw_all(torch.from_numpy(logits), rows, positions)
    for row, parameters in enumerate(rows):
        ids = np.argsort(-logits[row], kind="stable")
        draw = Sampler(parameters).draw(ids, logits[row][ids], positions[row])
        expected_ids, expected = draw.distribution
        found = distributions[row]
        # A survivor on the very edge of top_p may go either way: sums round differently.
        assert abs(len(found) - len(expected_ids)) <= (0 if parameters.top_p == 1 else 1)
        if len(found) == len(expected_ids):
            assert sorted(found) == sorted(expected_ids.tolist())
            assert np.allclose([found[i] for i in expected_ids.tolist()], expected, rtol=1e-9)
            assert tokens[row] == draw.token


def test_greedy_takes_the_lowest_id_on_ties():
    logits = torch.tensor([[0.0, 3.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    tokens, distributions = draw_all(logits, [Sampling(temperature=0.0)] * 2, [5, 6])
    assert tokens == [1, 0]
    assert distributions == [{1: 1.0}, {0: 1.0}]


def test_ties_at_the_cut_keep_the_lowest_ids():
    tokens, distributions = draw_all(torch.zeros(1, 1000), [Sampling(1.0, top_k=10, top_p=1.0)], [3])
    assert sorted(distributions[0]) == list(range(10))
    assert tokens[0] in range(10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters", [Sampling(1.0, 0, 1.0), Sampling(0.7, 0, 0.9), Sampling(1.3, 4, 1.0), Sampling(2.0, 6, 0.8)]
)
def test_draws_follow_p(parameters):
    """Chi-square over seeds: y ~ p."""
    count, vocabulary = 20_000, 8
    logits = torch.from_numpy(np.random.default_rng(3).normal(0, 1.5, vocabulary).astype(np.float32))
    rows = [Sampling(parameters.temperature, parameters.top_k, parameters.top_p, seed) for seed in range(count)]
    tokens, distributions = draw_all(logits.expand(count, -1), rows, [9] * count)
    observed = np.bincount(tokens, minlength=vocabulary)
    expected = np.array([distributions[0].get(i, 0.0) for i in range(vocabulary)]) * count
    assert observed[expected == 0].sum() == 0
    alive = expected > 0
    statistic = ((observed - expected)[alive] ** 2 / expected[alive]).sum()
    assert (
        statistic < 27.9
    )  # 0.0005 tail of chi-square with 8 degrees of freedom: seeds are fixed, so this never flakes


def test_a_top_k_beyond_the_vocabulary_cuts_nothing_and_costs_nothing(monkeypatch):
    """It is settled with as few candidates as no top-k at all."""
    widths, best = [], sampling.best
    monkeypatch.setattr(sampling, "best", lambda logits, width: widths.append(width) or best(logits, width))
    logits = torch.linspace(0, -300, 1000)[None]
    for top_k in (0, 1000, 5000):
        draw_all(logits, [Sampling(1.0, top_k=top_k, top_p=0.9)], [3])
    assert widths == [sampling.CANDIDATES[0]] * 3


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("few", [0, 1 << 14, 1 << 30])
def test_the_largest_are_found_in_columns_and_without(monkeypatch, rows, few):
    monkeypatch.setattr(sampling, "_FEW", few)
    logits = torch.from_numpy(np.random.default_rng(rows).normal(0, 3, (rows, 4096)).astype(np.float32))
    values, ids = sampling.best(logits, 32)
    expected = logits.sort(dim=1, descending=True, stable=True)
    assert values.equal(expected.values[:, :32])
    assert ids.equal(expected.indices[:, :32])


def test_rows_beside_a_top_k_are_cut_as_they_are_alone():
    """Without any top-k there is less to do, and the result is the same to the last bit."""
    logits = torch.from_numpy(np.random.default_rng(5).normal(0, 2, (2, 4096)).astype(np.float32))
    rows = [Sampling(0.7, top_k=0, top_p=0.95, seed=4), Sampling(0.7, top_k=40, top_p=1.0, seed=4)]
    together = draw_all(logits, rows, [7, 8])
    for i in range(2):
        tokens, distributions = draw_all(logits[i : i + 1], rows[i : i + 1], [7 + i])
        assert tokens[0] == together[0][i]
        assert distributions[0] == together[1][i]
