"""A tiny pair of models that disagree now and then."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from cloud_target.engine.hf.cpu import guard_bfloat16
from cloud_target.training.pretrain import Shape
from cloud_target.training.tokenizer import train_tokenizer
from shared.errors import InputError

# Muon works in bf16, which some machines that advertise it forbid; this must be known before any test computes.
guard_bfloat16()

VOCABULARY = 280
CONTEXT = 48


def build(hidden: int, seed: int, sharpness: float) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    model = Shape(hidden, layers=1, feed_forward=64, kv_heads=1, context=CONTEXT).build(VOCABULARY)
    with torch.no_grad():
        # Fresh weights give a flat distribution: sharper ones behave more like a trained model's.
        model.get_input_embeddings().weight.normal_(std=sharpness)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def target() -> LlamaForCausalLM:
    return build(128, 0, 0.2)


@pytest.fixture(scope="session")
def draft() -> LlamaForCausalLM:
    return build(64, 1, 0.2)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "corpus.txt"
    path.write_text("Once upon a time a fox lost its red hat. User: Is it free?", encoding="utf-8")
    return train_tokenizer([path], vocabulary=VOCABULARY)


def assert_damage_is_told(path: Path, load: Callable[[Path], object]) -> None:
    """A file that is empty, cut short or something else is refused by name, with what to do about it."""
    whole = path.read_bytes()
    with io.BytesIO() as other:
        np.save(other, np.arange(3))
        damages = [b"", whole[:10], whole[: len(whole) // 2], whole[:-1], b"no array", other.getvalue()]
    for damage in damages:
        path.write_bytes(damage)
        with pytest.raises(InputError, match=rf"cannot read .* from {re.escape(str(path))}.*; remove it") as refusal:
            load(path)
        assert "\n" not in str(refusal.value)
