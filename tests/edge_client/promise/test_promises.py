"""What is remembered of a promise comes back from JSON as it was, and nothing that the steering could not bear."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_client.promise.learning import Correction
from edge_client.promise.promises import Entry, Learned, Promise
from edge_client.settings import Settings
from shared.config import Coupling, Criterion
from shared.steering.budget import Steering
from shared.steering.evidence import Evidence
from shared.steering.recalibration import CALIBRATED, Recalibration

PROMISE = Promise.of(Settings(budget=0.01), "t")


def back(evidence: Evidence) -> Evidence:
    """From JSON again."""
    entry = Entry(PROMISE, Steering(evidence))
    return Entry.from_json(json.loads(json.dumps(entry.as_json()))).steering.evidence


@given(st.floats(-14, 14), st.sampled_from([0.0, 1e-6, 1.0]), st.floats(0, 100), st.integers(0, 2**32))
def test_no_evidence_is_lost_to_rounding(middle, width, unlike, seed):
    learned, chance = Recalibration(CALIBRATED, Evidence()), np.random.default_rng(seed)
    for _ in range(30):
        learned.learn(middle + width * chance.uniform(-1, 1, 32), chance.random(32) < 0.1, unlike)
    assert back(learned.taught) == learned.taught


@given(st.floats(0, 1), st.sampled_from(Criterion), st.sampled_from(Coupling), st.booleans())
@example(5e-324, Criterion.TYPICAL, Coupling.GUMBEL, False)
@example(1e-10, Criterion.STRICT, Coupling.RESIDUAL, True)
def test_every_promise_that_can_be_made_comes_back(budget, criterion, coupling, learns):
    """Else the whole file would be set aside with the next text, and every debt in it forgiven."""
    settings = Settings(budget=budget, criterion=criterion, coupling=coupling, learn=learns)
    entry = Entry(Promise.of(settings, "t"))
    assert Entry.from_json(json.loads(json.dumps(entry.as_json()))) == entry


def test_what_each_verifier_taught_comes_back_and_where_there_is_one_nothing_is_written_of_others():
    learned = Recalibration(CALIBRATED, Evidence())
    learned.learn(np.linspace(-3, 1, 8), np.arange(8) > 5, 0.1)
    known = {"letters": Learned(learned.taught, Correction(tokens=3)), "poems": Learned()}
    entry = Entry(PROMISE, domains=known, losses={"general": 1.5, "letters": 0.0, "poems": 4.0})
    assert Entry.from_json(json.loads(json.dumps(entry.as_json()))) == entry
    assert not {"domains", "losses"} & Entry(PROMISE).as_json().keys()
    data = entry.as_json()
    for changes, said in (
        ({"domains": []}, "`entry.domains` must be an object"),
        ({"losses": {"general": -1.0}}, "`entry.losses.general` must be a number of 0 or more"),
        ({"losses": {"general": "much"}}, "`entry.losses.general` must be a number"),
        ({"domains": {"letters": {"evidence": {"precision": 3}}}}, "`entry.domains.letters.evidence` must be"),
        ({"domains": {"letters": {"correction": {"tokens": -1}}}}, "`entry.domains.letters.correction.tokens` must be"),
    ):
        with pytest.raises(ValueError, match=said):
            Entry.from_json(json.loads(json.dumps(data)) | changes)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ([3, 0, 2.0, 2.5], r"cells\[0\]\[3\]` must be a number from 0 to 2"),
        ([3, 0, 9.0, 0.0], r"cells\[0\]\[2\]` must be a number from 0 to 8"),
        ([3, 0, -1.0, 0.0], r"cells\[0\]\[2\]` must be a number from 0 to 8"),
        ([57, 0, 1.0, 0.0], r"cells\[0\]\[0\]` must be a whole number"),
        ([3, 0.5, 1.0, 0.0], r"cells\[0\]\[1\]` must be a whole number"),
        ([3, 0, 1.0], r"cells\[0\]` must be a list of 4 numbers"),
        ([3, 0, 1e400, 0.0], r"cells\[0\]\[2\]` must be a finite number"),
    ],
)
def test_what_no_audits_can_have_counted_is_refused(cell, said):
    data = Entry(PROMISE).as_json()
    data["steering"]["evidence"] = {"cells": [cell], "doubts": 8}
    with pytest.raises(ValueError, match=said):
        Entry.from_json(data)
