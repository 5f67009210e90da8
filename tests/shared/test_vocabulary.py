"""A draw from the whole vocabulary is the plain one, whatever of it the candidates settle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from shared import noise, vocabulary
from shared.config import Sampling
from shared.draw import MARGIN_LIMIT, OUTSIDERS, Draw
from shared.features import LARGEST, NAMES, SCALARS, write_features
from shared.mass import bounds
from shared.sampling import Sampler

SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.3, 0.7, 1.0, 1.5, 5.0]),
    top_k=st.sampled_from([0, 0, 0, 2, 9, 40, 1000]),
    top_p=st.sampled_from([0.3, 0.9, 0.999, 1.0, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)


class Given(NamedTuple):
    """What a draft's graph gives of a distribution."""

    ids: np.ndarray
    logits: np.ndarray
    log_normaliser: float
    entropy: float
    every: np.ndarray


def given_of(every: np.ndarray, candidates: int) -> Given:
    order = np.argsort(-every, kind="stable")
    wide = every.astype(np.float64)
    log_normaliser = wide.max() + np.log(np.exp(wide - wide.max()).sum())
    p = np.exp(wide - log_normaliser)
    # Where a logit is no number, its graph's entropy is none either.
    entropy = np.float32(log_normaliser - p @ wide) if np.isfinite(wide).all() else np.nan
    ids = order[:candidates]
    return Given(ids, every[ids], float(np.float32(log_normaliser)), float(entropy), every)


def draw(sampling: Sampling, graph: Given, position: int) -> Draw:
    return Sampler(sampling).draw(graph.ids, graph.logits, position, graph.log_normaliser, graph.every)


@st.composite
def graphs(draw_from) -> Given:
    size = draw_from(st.integers(2, 400))
    random = np.random.default_rng(draw_from(st.integers(0, 2**32)))
    every = random.normal(0, draw_from(st.sampled_from([0.2, 1.0, 4.0])), size).astype(np.float32)
    if draw_from(st.booleans()):
        every = np.round(every)  # many are equal then
    if draw_from(st.booleans()):
        every[random.integers(0, size, size // 2)] = -np.inf
        every[random.integers(size)] = 1.0
    return given_of(every, min(draw_from(st.sampled_from([1, 4, 16, 64])), size))


@given(graphs(), SAMPLINGS, st.integers(0, 5000), st.sampled_from([20, 4096]))
@example(given_of(np.zeros(300, np.float32), 4), Sampling(1.0, 0, 1.0), 3, 20)
@example(given_of(np.zeros(300, np.float32), 64), Sampling(1.5, 100, 1.0), 3, 20)
@example(given_of(np.zeros(300, np.float32), 64), Sampling(1.0, 0, 0.9), 3, 20)
@example(given_of(np.linspace(8, -8, 300, dtype=np.float32), 16), Sampling(1.0, 40, 0.5), 3, 20)
def test_equals_the_plain_draw(graph, sampling, position, many):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "_MANY", many)
        found = draw(sampling, graph, position)
    every, size, known = graph.every.astype(np.float64), len(graph.every), len(graph.ids)
    order = np.lexsort((np.arange(size), -every))
    weights = np.exp((every[order] - every.max()) / sampling.temperature)[: sampling.top_k or size]
    held = weights.cumsum()
    limit = sampling.top_p * held[-1]
    survivors = int((held < limit).sum()) + 1 if sampling.top_p < 1 else len(weights)
    # The sums of a graph are rounded, so where one meets top-p to the last digits the other side is as good.
    assume(sampling.top_p == 1 or np.abs(held - limit).min() > 1e-6 * held[-1])
    assert found.survivors == survivors

    q = weights[:survivors] / held[survivors - 1]
    running = min(survivors + OUTSIDERS, known if survivors <= known else size)
    score = every[order[:running]] / sampling.temperature
    score += noise.gumbel(noise.key(sampling.seed, position), order[:running])
    x = int(score[:survivors].argmax())
    assert found.token == order[x]
    assert (found.index, found.logit) == (x, every[order[x]])
    assert found.log_q == pytest.approx(np.log(q[x]), abs=1e-5)
    others = np.delete(np.arange(running), x)
    others = others[np.argsort(-score[others], kind="stable")]
    others = others[np.isfinite(score[others])]
    told = [order[rank] for rank in others[:2]]
    told += [told[-1] if told else found.token] * (2 - len(told))
    assert [found.rival, found.third] == told
    assert found.rival_logit == every[found.rival]
    gaps = np.minimum(score[x] - score[others], MARGIN_LIMIT)
    assert found.rival_gap == pytest.approx(gaps[0] if len(gaps) else MARGIN_LIMIT, abs=1e-6)
    among = gaps[others < survivors]
    assert found.noisy_margin == pytest.approx(among[0] if len(among) else MARGIN_LIMIT, abs=1e-6)

    ids, probabilities = found.distribution
    np.testing.assert_array_equal(ids, order[:survivors])
    np.testing.assert_allclose(probabilities, q, atol=1e-5)


@given(graphs(), SAMPLINGS, st.integers(0, 5000))
def test_features_are_told_of_any_token(graph, sampling, position):
    assume(len(graph.ids) >= LARGEST)
    found, row = draw(sampling, graph, position), np.empty(SCALARS + 2, np.float32)
    write_features(row, np.zeros(2, np.float32), *graph[1:4], found, sampling.temperature)
    told = dict(zip(NAMES, row.tolist(), strict=False))
    log_p = graph.every.astype(np.float64) - graph.log_normaliser
    assert told["log_probability"] == pytest.approx(log_p[found.token], abs=1e-4)
    assert told["rival_log_probability"] == pytest.approx(log_p[found.rival], abs=1e-4)
    assert told["rank"] == pytest.approx(np.log1p(found.index), abs=1e-6)
    assert told["log_survivors"] == pytest.approx(np.log(found.survivors), abs=1e-6)


@given(graphs(), SAMPLINGS.filter(lambda s: s.top_p < 1 and not s.top_k), st.integers(0, 5000))
def test_the_mass_lies_within_its_bounds(graph, sampling, position):
    assume(np.isfinite(graph.every).all())
    temperature, first = sampling.temperature, graph.every.max()
    truth = float(np.exp((graph.every.astype(np.float64) - first) / temperature).sum())
    scaled = ((graph.logits.astype(np.float64) - first) / temperature).tolist()
    log_mass = graph.log_normaliser - float(first)
    least, most = bounds([*map(np.exp, scaled)], scaled[-1], temperature, log_mass)
    assert least * (1 - 1e-4) <= truth <= most * (1 + 1e-4)
    assert temperature > 1 or most <= np.exp(log_mass) * (1 + 1e-4)


@given(st.integers(0, 2**64 - 1), st.floats(-800, 800) | st.floats(-3, 12), st.integers(1, 3000))
@example(5, float("-inf"), 10)
@example(5, float("inf"), 10)
def test_peaks_are_where_the_noise_is_high(key, least, vocabulary):
    found = noise.Peaks(vocabulary).above(key, least)
    g = noise.gumbel(key, np.arange(vocabulary))
    assert set(np.flatnonzero(g >= least)) <= set(found.tolist())
    assert (g[found] >= least - 1e-5).all()


def test_hardly_any_token_is_looked_at(monkeypatch):
    """As many as there are candidates, or a few times as many, of very many."""
    looked: list[int] = []
    above = noise.Peaks.above
    monkeypatch.setattr(noise.Peaks, "above", lambda *a: (found := above(*a), looked.append(len(found)))[0])
    random = np.random.default_rng(1)
    for seed in range(10):
        graph = given_of(random.normal(0, 3, 30_000).astype(np.float32), 64)
        draw(Sampling(1.0, 0, 1.0, seed), graph, 7)
    assert len(looked) == 10
    assert np.mean(looked) < 1_500


@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(0.7), Sampling(1.0, 5, 1.0), Sampling(0.7, 64, 0.9)])
def test_what_the_candidates_settle_is_looked_for_nowhere_else(sampling):
    """Of all logits, nothing but their number is asked."""

    class Unread:
        def __len__(self) -> int:
            return 3000

    every = np.full(3000, -9.0, np.float32)
    every[:64] = np.linspace(5, -5, 64)
    graph = given_of(every, 64)
    found = Sampler(sampling).draw(*graph[:2], 5, graph.log_normaliser, Unread())
    assert found.token == draw(sampling, graph, 5).token


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e30, -1e30])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.9, 1.0])
def test_a_graph_that_fails_raises_nothing_here(wrong, temperature, top_p):
    every = np.linspace(3, -3, 200, dtype=np.float32)
    logits = every[:64].copy()
    every[100] = wrong
    found = Sampler(Sampling(temperature, 0, top_p)).draw(np.arange(64), logits, 5, wrong, every)
    assert 0 <= found.token < 200
