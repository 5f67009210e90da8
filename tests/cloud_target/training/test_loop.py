"""Steps of distillation: the same in parts as in one, from a stream that can be taken up where it was left."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from cloud_target.training.loop import Batch, Loop, batches
from cloud_target.training.optim import Optimiser, Schedule
from cloud_target.training.teacher import SoftTargets, ask_teacher, bearable_tokens
from tests.cloud_target.training.conftest import VOCABULARY, assert_damage_is_told, build
from tests.cloud_target.training.test_distil import random_documents


@pytest.fixture(scope="module")
def targets(target: LlamaForCausalLM) -> SoftTargets:
    return ask_teacher(target, random_documents(24), top=16)


def stream(targets: SoftTargets, rows: int = 3, skip: int = 0) -> list[Batch]:
    return list(islice(batches(targets, rows, 40, np.random.default_rng(5), skip=skip), 4))


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in vars(one))


@given(skip=st.integers(0, 40), rows=st.integers(1, 5))
def test_a_stream_is_taken_up_where_it_was_left(targets: SoftTargets, skip: int, rows: int) -> None:
    whole = list(islice(batches(targets, rows, 40, np.random.default_rng(5)), skip + 4))
    assert all(map(same, stream(targets, rows, skip), whole[skip:]))


def step(targets: SoftTargets, rows: int | None, vocabulary: int | None = None) -> tuple[torch.Tensor, Loop]:
    draft = build(64, 1, 0.2).requires_grad_(True)
    loop = Loop(draft, Optimiser(draft, 1e-2), Schedule(10**6, seen=10**5), rows, vocabulary)
    return loop.step(stream(targets, 5)[0]), loop


@pytest.mark.parametrize("rows", [1, 2, 4, 5, 9])
def test_a_step_in_parts_is_the_step_in_one(targets: SoftTargets, rows: int) -> None:
    terms, loop = step(targets, rows)
    expected, whole = step(targets, None)
    torch.testing.assert_close(terms, expected, atol=1e-5, rtol=1e-5)
    assert loop.schedule.seen == whole.schedule.seen > 10**5
    before = dict(build(64, 1, 0.2).named_parameters())
    for (name, ours), theirs in zip(loop.draft.named_parameters(), whole.draft.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
        assert not torch.equal(ours, before[name])


def test_to_try_a_step_changes_nothing(targets: SoftTargets) -> None:
    draft = build(64, 1, 0.2).requires_grad_(True)
    loop = Loop(draft, Optimiser(draft, 1e-2), Schedule(10**6, seen=10**5), 2)
    assert loop.try_out(stream(targets)[0]) > 0
    terms = loop.step(stream(targets, 5)[0])
    torch.testing.assert_close(terms, step(targets, 2)[0])
    assert loop.steps == 1
    assert all(weight.grad is None for weight in draft.parameters())


def test_logits_beyond_the_vocabulary_do_not_count(targets: SoftTargets) -> None:
    with torch.no_grad():
        padded = build(64, 1, 0.2)
        padded.resize_token_embeddings(VOCABULARY + 8)
        padded.get_input_embeddings().weight[VOCABULARY:] = 9.0
    padded.requires_grad_(True)
    loop = Loop(padded, Optimiser(padded, 1e-2), Schedule(10**6), vocabulary=VOCABULARY)
    torch.testing.assert_close(loop.step(stream(targets, 5)[0]), step(targets, None)[0])


def test_embeddings_and_heads_are_no_matrices_between_layers() -> None:
    """Muon is for maps from one space to another; positions and tokens are tables, whatever their names."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    by_muon = {id(p) for part in Optimiser(model, 1e-3)._parts[1:] for g in part.param_groups for p in g["params"]}
    names = {name for name, weight in model.named_parameters() if id(weight) in by_muon}
    block = "transformer.h.0."
    assert names == {block + f"{n}.weight" for n in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}


@pytest.mark.parametrize(("vocabulary", "device"), [(4096, "cpu"), (49_152, "cpu"), (262_144, "cpu"), (49_152, "cuda")])
def test_logits_of_a_pass_stay_small(vocabulary: int, device: str) -> None:
    tokens = bearable_tokens(vocabulary, device)
    assert tokens >= 1
    assert tokens * vocabulary * 4 <= (1 << 27 if device == "cpu" else 1 << 30)


def test_what_the_target_expects_survives_a_file_and_is_joined(targets: SoftTargets, tmp_path: Path) -> None:
    targets.save(tmp_path / "targets.npz")
    again = SoftTargets.load(tmp_path / "targets.npz")
    both = SoftTargets.join([targets, again])
    for name in vars(targets):
        np.testing.assert_array_equal(getattr(again, name), getattr(targets, name))
        np.testing.assert_array_equal(getattr(both, name), np.concatenate([getattr(targets, name)] * 2))
    assert_damage_is_told(tmp_path / "targets.npz", SoftTargets.load)


def test_minutes_go_on_where_they_were_left() -> None:
    now = [100.0]
    schedule = Schedule(10**9, minutes=10, clock=lambda: now[0])
    now[0] += 120
    assert schedule.progress == pytest.approx(0.2)
    again = Schedule(10**9, minutes=10, clock=lambda: now[0])
    again.spent = schedule.spent
    now[0] += 180
    assert again.progress == pytest.approx(0.5)


def test_without_muon_all_is_adamws() -> None:
    model = build(64, 1, 0.2)
    (part,) = Optimiser(model, 1e-3, muon=False)._parts
    assert isinstance(part, torch.optim.AdamW)
    assert sum(p.numel() for g in part.param_groups for p in g["params"]) == model.num_parameters()
