"""Agreement on held-out text: all of it for the target itself, and what coupled sampling says for others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from cloud_target.distil.held_out import SAMPLINGS, HeldOut, agreement, write
from cloud_target.engine.scoring.score import Row, score
from cloud_target.training.models import run
from shared.config import Sampling
from tests.cloud_target.distil.conftest import CONTEXT, build, documents, writer
from tests.cloud_target.training.conftest import assert_damage_is_told


@pytest.fixture(scope="module", params=SAMPLINGS, ids=["greedy", "sampled"])
def held(target: LlamaForCausalLM, request: pytest.FixtureRequest) -> HeldOut:
    return write(target, writer(target, documents(20)), request.param, CONTEXT, seed=3, tokens=300)


def test_the_target_agrees_with_itself_and_another_model_less(target: LlamaForCausalLM, held: HeldOut) -> None:
    assert agreement(target, held, 300) == 1
    other = agreement(build(seed=5), held, 300)
    assert 0 <= other < 0.5
    damaged = build()
    with torch.no_grad():
        damaged.model.layers[1].mlp.down_proj.weight.mul_(0.7)
    assert other < agreement(damaged, held, 300) < 1


def test_what_the_target_would_write_is_what_its_server_says(target: LlamaForCausalLM, held: HeldOut) -> None:
    assert len(held) == sum(map(len, held.own)) >= 300
    for number, (text, opening, own) in enumerate(zip(held.texts, held.openings, held.own, strict=True)):
        logits = run(target, text[None].astype(np.int64))[1][0]
        sampling: Sampling = replace(held.sampling, seed=number)
        rows = [Row(position, sampling) for position in range(opening, len(text))]
        np.testing.assert_array_equal(own, score(logits[opening - 1 : -1], rows).own)
        if not sampling.temperature:
            np.testing.assert_array_equal(own, text[opening:])


def test_rows_beyond_the_vocabulary_are_drawn_never(target: LlamaForCausalLM, held: HeldOut) -> None:
    padded = build()
    padded.resize_token_embeddings(320)
    with torch.no_grad():
        padded.get_input_embeddings().weight[300:] = 100 * padded.get_input_embeddings().weight[5]
    assert agreement(padded, held, 300) == agreement(target, held, 300)


def test_it_can_be_ended_between_texts(target: LlamaForCausalLM, held: HeldOut) -> None:
    def end() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agreement(target, held, 300, end)


def test_held_out_text_survives_a_file(held: HeldOut, tmp_path: Path) -> None:
    held.save(tmp_path / "held.npz")
    again = HeldOut.load(tmp_path / "held.npz", held.sampling)
    for name in ("texts", "own"):
        assert all(np.array_equal(a, b) for a, b in zip(getattr(held, name), getattr(again, name), strict=True))
    assert again.openings == held.openings
    assert_damage_is_told(tmp_path / "held.npz", lambda path: HeldOut.load(path, held.sampling))
