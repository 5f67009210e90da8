"""How near a text is to the target's own: by what the target would have written in the place of each token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nearness import Written, regret, same, steps_away
from cloud_target.engine.scripted import ScriptedEngine, random_script
from shared.config import Sampling
from shared.sampling import Sampler
from tests.benchmarks.runs import made_run

SIZE = 6
SCRIPT = random_script(SIZE)
ENGINE = ScriptedEngine(SCRIPT, SIZE)


@given(st.lists(st.integers(0, SIZE - 1), max_size=20), st.integers(0, 99), st.sampled_from([0.0, 0.7, 1.3]))
def test_regret_is_what_each_token_costs_against_the_targets_own(written, seed, temperature):
    sampling, text, expected = Sampling(temperature, 0, 1.0, seed), [1, 2], 0.0
    for x in written:
        logits = SCRIPT(text)
        ids = np.argsort(-logits, kind="stable")
        y = Sampler(sampling).draw(ids, logits[ids], len(text)).token
        expected += abs(float(logits[y]) - float(logits[x]))
        text.append(x)
    assert regret(ENGINE, [1, 2], written, sampling) == pytest.approx(expected, abs=1e-5)
    assert not ENGINE.held


def test_tokens_count_at_their_very_place():
    assert same([1, 2, 3, 4], [1, 9, 3]) == 2
    assert same([], [1]) == 0


def writer(nll: float, regret: float, off: int) -> list[Written]:
    made = made_run(off_strict=off)
    noise = [0.01, -0.01, 0.02, -0.02]
    return [
        Written(**vars(made) | {"counts": replace(made.counts, nll=100 * (nll + n))}, regret=100 * (regret + n))
        for n in noise
    ]


def test_a_text_can_be_too_likely():
    own = ("cloud", writer(1.0, 0.0, 0))
    free, bound = ("local", writer(1.5, 0.3, 9)), ("sprint", writer(1.2, 0.1, 3))
    assert list(steps_away([free, bound, own])) == []
    lured = ("sprint", writer(0.4, 0.1, 3))
    (step,) = steps_away([free, lured, own])
    assert step.startswith("nll from local to sprint: +0.100")
    (step,) = steps_away([free, ("sprint", writer(1.2, 0.1, 12)), own])
    assert step.startswith("strict from local to sprint: +0.030")
