"""A target disagrees with itself where its arithmetic has few digits, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cloud_target.engine.hf import rounding
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.engine.hf.rounding import SEVERAL, disagreement
from shared.config import Sampling
from tests.cloud_target.export.checkpoints import VOCABULARY, build, save

RANDOM = np.random.default_rng(3)
TEXTS = [(RANDOM.integers(1, VOCABULARY, length).tolist(), first) for length, first in ((30, 1), (21, 20), (25, 7))]
POSITIONS = sum(len(ids) - first for ids, first in TEXTS)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    torch.set_num_threads(1)
    return str(save(build("llama"), tmp_path_factory.mktemp("target") / "target"))


def engine_of(place: str, dtype: str) -> TargetEngine:
    return TargetEngine(load_target(place, "cpu", dtype), memory=1 << 20)


def test_in_float32_it_agrees_and_every_position_is_looked_at_once(place):
    engine, told = engine_of(place, "float32"), []
    for temperature, draws in ((0.0, 1), (0.7, 4)):
        found = disagreement(engine, TEXTS, Sampling(temperature), told.append)
        assert found == (replace(found, strict=0.0, typical=0.0, tokens=draws * POSITIONS))
    assert told == [29, 30, 48] * 2
    engine.check_integrity()


def test_what_parts_of_several_make_otherwise_is_counted(place, monkeypatch):
    """One reading is made to be wrong at every fourth position; so the share is a quarter, whatever else happens."""
    engine = engine_of(place, "bfloat16")
    true = rounding._logits

    def turned(engine: TargetEngine, ids: list[int], first: int, size: int) -> torch.Tensor:
        logits = true(engine, ids, first, size)
        assert len(logits) == len(ids) - first
        if size == SEVERAL:
            logits[::4] *= -1.0
        return logits

    monkeypatch.setattr(rounding, "_logits", turned)
    text = (RANDOM.integers(1, VOCABULARY, 41).tolist(), 1)
    found = disagreement(engine, [text], Sampling(0.0))
    assert found.strict >= 0.25
    assert found.typical <= found.strict
    assert found.tokens == 40


def test_both_readings_are_the_text_itself(place):
    """Each row is what the whole text, read at once, says there."""
    engine = engine_of(place, "float32")
    ids, first = TEXTS[2]
    with torch.inference_mode():
        whole = engine.passes.run([rounding.Text(0, 0, ids[:-1])], [len(ids) - first])
    for size in (1, SEVERAL):
        torch.testing.assert_close(rounding._logits(engine, ids, first, size), whole, atol=1e-4, rtol=0)
