"""Pretraining learns, saves what it learnt, and keeps to its schedule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from cloud_target.training.evaluate import bits_per_byte
from cloud_target.training.models import load_model, load_model_tokenizer
from cloud_target.training.optim import Schedule
from cloud_target.training.pretrain import Shape, pretrain
from cloud_target.training.settings import RunSettings
from tests.cloud_target.training.conftest import CONTEXT

TEXTS = ["A fox lost its red hat.", "User: Is it free?\nAssistant: It is, at noon.", "Who has seen the hat?"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n<|endoftext|>\n".join(TEXTS * 20), encoding="utf-8")
    return path


@pytest.mark.slow
def test_pretraining_learns_and_saves(
    corpus: Path, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda model: model)
    shape = Shape(64, layers=1, feed_forward=64, kv_heads=1, context=CONTEXT)
    settings = RunSettings(tokens=20_000, minutes=5, batch_tokens=256, window=24)
    before = bits_per_byte(shape.build(tokenizer.get_vocab_size()).eval(), tokenizer, corpus)
    torch.manual_seed(0)
    pretrain(shape.build(tokenizer.get_vocab_size()), tokenizer, [corpus], [], settings, tmp_path)
    again = load_model(tmp_path)
    after = bits_per_byte(again, load_model_tokenizer(tmp_path), corpus)
    assert after < 0.3 * before
    # Saved in bf16, which is what everything that follows is made from.
    stored = [parameter.to(torch.bfloat16).float() for parameter in again.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(stored, again.parameters(), strict=True))


def test_bits_per_byte_equal_a_plain_sum(target: LlamaForCausalLM, tokenizer: Tokenizer, corpus: Path) -> None:
    nats = 0.0
    for text in TEXTS:
        ids = torch.tensor(tokenizer.encode(text).ids)
        assert len(ids) <= CONTEXT
        logits = target(input_ids=ids[None]).logits[0]
        nats += float(F.cross_entropy(logits[:-1], ids[1:], reduction="sum"))
    expected = nats / sum(len(text.encode()) for text in TEXTS) / np.log(2)
    assert bits_per_byte(target, tokenizer, corpus, limit=3) == pytest.approx(expected, rel=1e-4)


@given(tokens=st.integers(1, 10**9), share=st.floats(0, 2))
def test_schedule_warms_up_holds_and_ends_at_nothing(tokens: int, share: float) -> None:
    schedule = Schedule(tokens, seen=int(share * tokens))
    assert 0 <= schedule.scale <= 1
    if schedule.progress == 1:
        assert schedule.scale == pytest.approx(0, abs=1e-9)
    if 0.02 <= schedule.progress <= 0.5:
        assert schedule.scale == 1
