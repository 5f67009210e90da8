"""The promise is kept by the audits, whatever the verifier is worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.budget import Budget, first_threshold
from shared.bundle import Calibration
from shared.config import Criterion, Sampling


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
        assert 0 <= budget.threshold < 1


def cells(*rows: tuple[float, float, float, float]) -> list[Calibration]:
    return [
        Calibration(Criterion.TYPICAL, temperature, top_p, budget, threshold, budget, 0.1, 1000)
        for temperature, top_p, budget, threshold in rows
    ]


TABLE = cells((0.5, 0.75, 0.01, 0.2), (0.5, 0.75, 0.05, 0.4), (1.0, 1.0, 0.01, 0.02), (1.0, 1.0, 0.05, 0.08))


@pytest.mark.parametrize(
    ("limit", "temperature", "top_p", "least", "most"),
    [
        (0.01, 0.5, 0.75, 0.2, 0.2),
        (0.001, 0.5, 0.75, 0.2, 0.2),
        (0.02, 0.5, 0.75, 0.2, 0.4),
        (0.5, 0.5, 0.75, 0.4, 0.4),
        (0.05, 1.0, 0.75, 0.08, 0.08),
        (0.02, 0.75, 0.875, 0.02, 0.08),  # as far from the one as from the other: the stricter
    ],
)
def test_the_first_threshold_is_of_the_nearest_sampling(limit, temperature, top_p, least, most):
    sampling = Sampling(temperature=temperature, top_p=top_p)
    for table in (TABLE, TABLE[::-1]):
        threshold = first_threshold(table, Criterion.TYPICAL, sampling, limit)
        assert least - 1e-9 <= threshold <= most + 1e-9


def test_the_strictest_is_for_another_target():
    sampling = Sampling(temperature=0.5, top_p=0.75)
    assert first_threshold(TABLE, Criterion.TYPICAL, sampling, 0.05, strictest=True) == 0.2


def test_a_verifier_without_a_table_is_taken_at_its_word():
    assert first_threshold(TABLE, Criterion.STRICT, Sampling(), 0.03) == 0.03
