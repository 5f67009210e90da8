"""Which doubt is shipped: the one that asks least on rows that nothing was fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.training.calibrate import BUDGETS
from cloud_target.training.choice import choose, hold_documents
from cloud_target.training.doubts import FREE, ask_rate, off_target
from cloud_target.training.scalar import scalar_head
from cloud_target.training.verifier import Head
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion
from shared.features import NAMES, SCALARS
from tests.cloud_target.training.made_up import HIDDEN, made_up_rows

INPUTS = SCALARS + HIDDEN


def random_head(seed: int, units: int) -> Head:
    """Weights of a head, linear without units; all heads are standardised alike."""
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    mean, std = np.full(INPUTS, 0.3, np.float32), np.full(INPUTS, 1.7, np.float32)
    hidden = (weights(units, INPUTS), weights(units)) if units else (None, None)
    return Head(mean, std, *hidden, weights(2, units or INPUTS), weights(2))


heads = st.builds(random_head, st.integers(0, 999), st.sampled_from([0, 0, 3, 8]))


@given(found=st.lists(heads, min_size=1, max_size=5), seed=st.integers(0, 99), ways=st.integers(1, 3))
def test_each_column_is_of_the_head_that_asks_least(found: list[Head], seed: int, ways: int) -> None:
    named = {f"head {number}": head for number, head in enumerate(found)}
    held = [made_up_rows(5, 40, seed=seed + way) for way in range(ways)]
    shipped, choices = choose(named, held)
    assert [choice.criterion for choice in choices] == list(DOUBT_COLUMNS)
    for column, choice in enumerate(choices):
        for name, head in named.items():
            asks = [
                ask_rate(head.doubt(rows.features)[:, column], off_target(rows, choice.criterion), budget)
                for rows in held
                for budget in BUDGETS
            ]
            assert choice.asks[name] == pytest.approx(np.mean(asks), abs=1e-4)
        assert choice.name == next(name for name in named if choice.asks[name] == min(choice.asks.values()))
        assert (choice.tokens, choice.documents) == (200 * ways, 5)
        doubt, own = (head.doubt(held[0].features)[:, column] for head in (shipped, named[choice.name]))
        np.testing.assert_allclose(doubt, own, rtol=1e-4, atol=1e-7)


def test_repetitions_are_compared_by_the_strict_doubt_that_is_shipped() -> None:
    """Every token repeats: by both criteria it is the strict column that asks, whichever head the other is of."""
    rows = made_up_rows(8, 50, seed=3)
    rows = replace(rows, repeating=np.ones(len(rows), bool), off_typical=rows.off_strict)
    named = {f"head {seed}": random_head(seed, 0) for seed in range(6)}
    typical, strict = choose(named, [rows])[1]
    assert set(typical.asks.values()) == {min(strict.asks.values())}
    assert typical.name == "head 0"


def test_nothing_held_back_leaves_the_trained_head() -> None:
    named = {"trained": random_head(0, 3), "other": random_head(1, 0)}
    shipped, choices = choose(named, [made_up_rows(4, 5, seed=0).where(np.zeros(20, bool))])
    assert shipped is named["trained"]
    assert [choice.name for choice in choices] == ["trained"] * 2


@given(documents=st.integers(1, 60), seed=st.integers(0, 99))
def test_a_tenth_of_the_documents_is_held_back(documents: int, seed: int) -> None:
    rows = made_up_rows(documents, 3, seed=0)
    held = hold_documents([rows.document], seed)
    assert set(held) <= set(rows.document)
    assert len(set(held)) == len(held) == (max(1, round(documents / 10)) if documents >= 4 else 0)


@pytest.mark.parametrize("name", list(FREE))
@pytest.mark.parametrize("criterion", list(Criterion))
def test_a_free_doubt_asks_about_the_same_tokens_as_a_head(name: str, criterion: Criterion) -> None:
    feature, sign = FREE[name]
    column = NAMES.index(feature)
    rows, fresh = made_up_rows(30, 60, seed=5), made_up_rows(30, 60, seed=6)
    chance = 1 / (1 + np.exp(3 - 2 * sign * rows.features[:, column]))
    strict = np.random.default_rng(0).random(len(rows)) < chance
    rows = replace(rows, off_strict=strict, off_typical=strict)
    head = scalar_head(rows, column, sign, random_head(0, 3))
    doubt = head.doubt(fresh.features)[:, DOUBT_COLUMNS.index(criterion)]
    order = np.argsort(sign * fresh.features[:, column])
    assert (np.diff(doubt[order]) >= 0).all()
    assert doubt.mean() == pytest.approx(chance.mean(), abs=0.02)
    slopes = head.w2[:, column] / head.std[column] * sign
    assert slopes == pytest.approx([2, 2], abs=0.3)
    assert np.count_nonzero(head.w2) == 2


@pytest.mark.parametrize("errors", ["all", "none", "apart", "contrary"])
def test_a_free_doubt_of_rows_that_say_too_much_or_the_opposite(errors: str) -> None:
    rows = made_up_rows(20, 30, seed=1)
    column = NAMES.index("entropy")
    entropy = rows.features[:, column]
    off = {"all": entropy < np.inf, "none": entropy > np.inf, "apart": entropy > 1, "contrary": entropy < 1}[errors]
    head = scalar_head(replace(rows, off_strict=off, off_typical=off), column, 1, random_head(0, 0))
    doubt = head.doubt(rows.features)[:, 0]
    assert np.isfinite(head.w2).all()
    if errors == "apart":
        assert doubt[off].min() > doubt[~off].max()
    else:
        assert np.ptp(doubt) < 1e-6
        assert 0 < doubt[0] < 1
        assert doubt[0] == pytest.approx(off.mean(), abs=0.01)


def test_a_steep_doubt_keeps_tokens_apart_that_it_hardly_doubts() -> None:
    rows = made_up_rows(40, 50, seed=2)
    column = NAMES.index("noisy_margin")
    off = rows.features[:, column] < np.quantile(rows.features[:, column], 0.02)
    head = scalar_head(replace(rows, off_strict=off, off_typical=off), column, -1, random_head(0, 0))
    doubt = head.doubt(rows.features)[:, 0]
    assert doubt[off].min() > doubt[~off].max()
    assert (doubt > 1e-6).mean() >= 0.75
