"""A correction that audits teach is used only while held-out audits say that it helps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.promise.learning import INPUTS, MOST_WEIGHT, Learner
from edge_client.promise.memory import Memory
from shared.config import Criterion
from shared.features import NAMES, SCALARS
from tests.edge_client.scripted_device import fake_edge

MARGIN = NAMES.index("noisy_margin")


def stream(count: int, seed: int, sign: float = 1.0):
    """Scalars and labels: small noisy margins are errors, and nothing else tells."""
    random = np.random.default_rng(seed)
    scalars = np.zeros((count, SCALARS), np.float32)
    scalars[:, MARGIN] = random.uniform(0, 8, count)
    return scalars, random.random(count) < 1 / (1 + np.exp(sign * (scalars[:, MARGIN] - 2)))


def teach(learner: Learner, scalars: np.ndarray, labels: np.ndarray, doubt: float = 0.2) -> np.ndarray:
    """The corrected doubt of each token, before its label is known."""
    doubts = []
    for row, is_off in zip(scalars, labels, strict=True):
        corrected, inputs = learner.correct(row, doubt)
        doubts.append(corrected)
        learner.audited(inputs, bool(is_off))
    return np.array(doubts)


def test_it_learns_what_the_shipped_head_does_not_see():
    learner = Learner()
    scalars, labels = stream(6000, 0)
    doubts = teach(learner, scalars, labels)[3000:]
    assert learner.in_use
    assert doubts[labels[3000:]].mean() > 2 * doubts[~labels[3000:]].mean()


def test_where_there_is_nothing_to_learn_the_shipped_head_stays():
    learner = Learner()
    random = np.random.default_rng(1)
    doubts = random.uniform(0.05, 0.6, 3000)
    used = 0
    for doubt in doubts:
        corrected, inputs = learner.correct(np.zeros(SCALARS, np.float32), float(doubt))
        used += corrected != doubt
        learner.audited(inputs, bool(random.random() < doubt))
    assert abs(learner.correction.advantage) < 10
    assert all(abs(weight) < 0.3 for weight in learner.correction.weights)


def test_what_got_worse_is_not_used_and_then_forgotten():
    """An adversary makes an error of whatever the correction takes for safe, and of nothing else."""
    learner = Learner()
    teach(learner, *stream(3000, 2))
    assert learner.in_use
    scalars, _ = stream(1000, 3)
    unused = 0
    for row in scalars:
        expected = 1 / (1 + np.exp(-learner._w @ np.concatenate(([1.0], 0.25 * np.array([np.log(0.25), *row])))))
        corrected, inputs = learner.correct(row, 0.2)
        unused += corrected == 0.2
        learner.audited(inputs, bool(expected < 0.5))
    assert learner.correction.reverted >= 1
    assert unused > 500


@given(st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(0, 1), st.booleans()), max_size=60))
def test_nothing_takes_it_out_of_bounds(tokens):
    learner = Learner()
    for value, doubt, is_off in tokens:
        corrected, inputs = learner.correct(np.full(SCALARS, value, np.float32), doubt)
        assert 0 <= corrected <= 1
        learner.audited(inputs, is_off)
    assert all(math.isfinite(weight) and abs(weight) <= MOST_WEIGHT for weight in learner.correction.weights)


def test_a_resumed_learner_goes_on_as_if_nothing_had_been():
    scalars, labels = stream(400, 4)
    whole, part = Learner(), Learner()
    teach(whole, scalars, labels)
    teach(part, scalars[:150], labels[:150])
    part = Learner(part.correction)
    teach(part, scalars[150:], labels[150:])
    assert part.correction == whole.correction
    assert len(part.correction.weights) == INPUTS


@pytest.mark.parametrize("criterion", list(Criterion))
def test_an_edge_teaches_it_from_text_to_text(criterion, tmp_path):
    examples = 0
    with fake_edge(memory=tmp_path, budget=0.1, criterion=criterion, max_tokens=60, learn=True) as edge:
        for _ in range(2):
            usage = edge.generate([1, 2, 3]).usage
            assert usage.tokens == 60
            examples += usage.audited + usage.audit.asked
        (entry,) = Memory.open(edge.bundle.manifest, tmp_path).entries.values()
    assert entry.correction.tokens == examples
