"""Where a budget begins: the calibrated thresholds around the way of sampling in use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_client.promise.calibration import first_threshold
from shared.config import Criterion, Sampling
from shared.manifest import Calibration


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
        (0.001, 0.5, 0.75, 0.001, 0.001),
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
    assert first_threshold(TABLE, Criterion.TYPICAL, sampling, 0.5, strictest=True) == 0.02
    # A table that says "never ask" is no reason to begin so with another target.
    never = cells((0.5, 0.75, 0.01, 1.0))
    assert first_threshold(never, Criterion.TYPICAL, sampling, 0.05, strictest=True) == 0.05


def test_a_budget_below_the_table_is_not_promised_what_the_table_says():
    sampling = Sampling(temperature=0.5, top_p=0.75)
    (cell,) = cells((0.5, 0.75, 0.01, 1.0))
    assert first_threshold([replace(cell, upper=0.004)], Criterion.TYPICAL, sampling, 0.001) == 0.001
    assert first_threshold([replace(cell, upper=0.0005)], Criterion.TYPICAL, sampling, 0.001) == 1.0


def test_a_verifier_without_a_table_is_taken_at_its_word():
    assert first_threshold(TABLE, Criterion.STRICT, Sampling(), 0.03) == 0.03
