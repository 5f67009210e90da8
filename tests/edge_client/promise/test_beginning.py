"""Where a budget begins: between the calibrated ways of sampling, and as cautiously as the bundle is unknown here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.promise.beginning import Beginning, asked_of, usual_doubts
from shared.calibration import SPREAD, Calibration, Doubts
from shared.config import Criterion, Sampling
from shared.steering.recalibration import CALIBRATED, UNKNOWN
from tests.edge_client.scripted_device import manifest

TYPICAL = Criterion.TYPICAL


def spread(temperature: float, top_p: float, middle: float, criterion: Criterion = TYPICAL) -> Doubts:
    return Doubts(criterion, temperature, top_p, np.linspace(middle - 3, middle + 3, SPREAD).tolist())


TABLE = [
    spread(0.0, 1.0, -6.0),
    spread(0.7, 0.9, -4.0),
    spread(1.0, 0.9, -3.0),
    spread(1.0, 1.0, -2.0),
    spread(0.7, 0.9, 0.0, Criterion.STRICT),
]


@pytest.mark.parametrize(
    ("temperature", "top_p", "middle"),
    [
        (0.0, 1.0, -6.0),
        (0.7, 0.9, -4.0),
        (0.35, 0.95, -5.0),
        (0.85, 0.9, -3.5),
        (0.85, 1.0, -3.0),
        (1.0, 0.5, -3.0),
        (1.0, 1.0, -2.0),
        (9.0, 1.0, -2.0),
    ],
)
def test_doubts_lie_between_those_of_the_temperatures_around(temperature, top_p, middle):
    sampling = Sampling(temperature=temperature, top_p=top_p)
    for table in (TABLE, TABLE[::-1]):
        found = usual_doubts(table, TYPICAL, sampling)
        assert len(found.doubts) == SPREAD
        assert np.mean(found.doubts) == pytest.approx(middle)
        assert (np.diff(found.doubts) > 0).all()


@given(st.floats(0, 2), st.floats(0, 0.01), st.floats(0.1, 1))
def test_a_slightly_other_temperature_changes_them_slightly(temperature, more, top_p):
    table = [way for way in TABLE if way.top_p == 1.0]
    ways = (Sampling(temperature=t, top_p=top_p) for t in (temperature, temperature + more))
    first, second = (usual_doubts(table, TYPICAL, way) for way in ways)
    assert np.abs(first.doubts - second.doubts).max() <= 4 * more + 1e-9


def test_a_bundle_that_was_not_calibrated_has_no_usual_doubts():
    assert len(usual_doubts(TABLE, Criterion.STRICT, Sampling(temperature=2.0)).doubts) == SPREAD
    assert usual_doubts(TABLE[:4], Criterion.STRICT, Sampling()) is None


def test_what_stands_behind_them_lies_between_those_of_the_temperatures_around():
    low, high = TABLE[0], replace(TABLE[3], errors=[value - 1.0 for value in TABLE[3].log_odds])
    found = usual_doubts([low, high], TYPICAL, Sampling(temperature=0.5, top_p=1.0))
    assert found.errors == pytest.approx(found.doubts - 0.5)


@pytest.mark.parametrize(
    ("doubts", "fits", "prior"), [(TABLE, True, CALIBRATED), (TABLE, False, UNKNOWN), ([], True, UNKNOWN)]
)
def test_doubts_are_trusted_where_they_were_calibrated_with_these_models(doubts, fits, prior):
    bundle = replace(manifest(), doubts=doubts)
    found = Beginning.of(bundle, TYPICAL, Sampling(temperature=0.7, top_p=0.9), fits, lambda: 0.0)
    assert found.prior is prior
    assert (found.usual.doubts.tolist() if found.usual else []) == (TABLE[1].log_odds if doubts else [])


def test_it_begins_the_more_cautiously_the_less_is_known():
    bundle = replace(manifest(), doubts=TABLE)

    def threshold(fits: bool = True, unlike: float = 0.0, limit: float = 0.01) -> float:
        beginning = Beginning.of(bundle, TYPICAL, Sampling(temperature=0.7, top_p=0.9), fits, lambda: unlike)
        return beginning.budget(limit).threshold

    assert threshold(limit=0.05) > threshold() > threshold(unlike=1.0) > threshold(unlike=2.0) > 0
    assert threshold() > threshold(fits=False) > 0
    # Without any calibration a doubt as large as the budget is asked about.
    assert Beginning().budget(0.01).threshold < 0.01


def cell(temperature: float, budget: float, ask_rate: float, **more) -> Calibration:
    top_p = 0.9 if temperature == 0.7 else 1.0
    return Calibration(TYPICAL, temperature, top_p, budget, 0.2, budget, ask_rate, 1000, **more)


CELLS = [cell(0.0, 0.01, 0.0), cell(0.7, 0.02, 0.1), cell(0.7, 0.01, 0.2), cell(1.0, 0.01, 0.4), cell(1.0, 0.02, 0.3)]


@pytest.mark.parametrize(
    ("temperature", "budget", "asked"),
    [
        (0.7, 0.01, 0.2),
        (0.7, 0.015, 0.15),
        (0.7, 0.001, 0.2),
        (0.7, 0.5, 0.1),
        (0.35, 0.02, 0.05),
        (2.0, 0.015, 0.35),
    ],
)
def test_what_is_asked_in_the_long_run_is_read_between_the_calibrated_budgets_and_temperatures(
    temperature, budget, asked
):
    sampling = Sampling(temperature=temperature, top_p=0.9 if temperature == 0.7 else 1.0)
    assert asked_of(CELLS, TYPICAL, sampling, budget) == pytest.approx(asked)


def test_nothing_is_known_of_what_another_criterion_or_revision_asks():
    assert asked_of(CELLS, Criterion.STRICT, Sampling(), 0.01) is None
    assert asked_of([cell(0.7, 0.01, 0.2, criteria=1)], TYPICAL, Sampling(), 0.01) is None
