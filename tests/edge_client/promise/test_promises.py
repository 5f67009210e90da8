"""What is remembered of a promise comes back from JSON as it was, and nothing that the steering could not bear."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_client.promise.learning import Correction
from edge_client.promise.promises import Entry, Learned, Promise
from edge_client.settings import Settings
from shared.config import Coupling, Criterion
from shared.steering.budget import Steering
from shared.steering.recalibration import CALIBRATED, INPUTS, UNKNOWN, Evidence, Recalibration

PROMISE = Promise.of(Settings(budget=0.01), "t")


def back(evidence: Evidence) -> Evidence:
    """From JSON again."""
    entry = Entry(PROMISE, Steering(evidence))
    return Entry.from_json(json.loads(json.dumps(entry.as_json()))).steering.evidence


@given(
    st.floats(-14, 14),
    st.sampled_from([0.0, 1e-6, 1.0]),
    st.floats(0, 100),
    st.sampled_from([1e-9, 1.0, 1e3]),
    st.integers(0, 2**32),
)
def test_no_evidence_is_lost_to_rounding(middle, width, unlike, weight, seed):
    """Doubts that are all alike, in texts that are, say next to nothing of two of the three: two eigenvalues are 0."""
    learned, chance = Recalibration(CALIBRATED, Evidence()), np.random.default_rng(seed)
    for _ in range(30):
        learned.learn(middle + width * chance.uniform(-1, 1, 32), chance.random(32) < 0.1, unlike)
    taught = learned.taught
    heavier = replace(
        taught,
        precision=tuple(weight * number for number in taught.precision),
        pull=tuple(weight * number for number in taught.pull),
    )
    assert back(heavier) == heavier


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
        (
            {"domains": {"letters": {"evidence": {"precision": 3}}}},
            "`entry.domains.letters.evidence.precision` must",
        ),
        ({"domains": {"letters": {"correction": {"tokens": -1}}}}, "`entry.domains.letters.correction.tokens` must be"),
    ):
        with pytest.raises(ValueError, match=said):
            Entry.from_json(json.loads(json.dumps(data)) | changes)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e9])
def test_what_is_no_precision_is_refused_whatever_its_size(size):
    spoiled = np.diag([1.0, 1.0, -1e-6]), np.array([[1.0, 1e-6, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for matrix in spoiled:
        with pytest.raises(ValueError, match="without negative eigenvalues"):
            back(Evidence(tuple((size * matrix).ravel().tolist())))


@pytest.mark.parametrize("prior", [CALIBRATED, UNKNOWN])
def test_what_is_let_through_can_be_added_to_every_prior(prior):
    chance = np.random.default_rng(0)
    for _ in range(50):
        turned, _ = np.linalg.qr(chance.normal(size=(INPUTS, INPUTS)))
        matrix = turned @ np.diag([8e8, 4e8, -1e-2]) @ turned.T
        evidence = back(Evidence(tuple(((matrix + matrix.T) / 2).ravel().tolist())))
        known = np.diag(np.array(prior.deviation) ** -2.0) + np.reshape(evidence.precision, (INPUTS, INPUTS))
        assert np.linalg.eigvalsh(known)[0] > 0
