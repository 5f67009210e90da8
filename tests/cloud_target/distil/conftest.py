"""A tiny target of four layers, sharp enough that its draft has something to learn, and a corpus for the two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from benchmarks.architectures import VOCABULARY, save
from cloud_target.distil.models import Models
from cloud_target.distil.settings import Settings
from cloud_target.distil.writing import FromDocuments
from cloud_target.engine.hf.cpu import guard_bfloat16
from cloud_target.training.pretrain import Shape

# Muon works in bf16, which some machines that advertise it forbid; this must be known before any test computes.
guard_bfloat16()

LAYERS, CONTEXT = 4, 64


def build(layers: int = LAYERS, hidden: int = 64, seed: int = 0) -> LlamaForCausalLM:
    """A model whose every layer moves its output."""
    torch.manual_seed(seed)
    model = Shape(hidden, layers=layers, feed_forward=96, kv_heads=1, context=CONTEXT).build(VOCABULARY)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.3 if "embed" in name else 0.12)
    return model.eval().requires_grad_(False)


def documents(count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(2, VOCABULARY, random.integers(8, 40)).astype(np.uint16) for _ in range(count)]


def writer(target: LlamaForCausalLM, documents: Sequence[np.ndarray]) -> FromDocuments:
    return FromDocuments(cast(Models, SimpleNamespace(target=target, ends=[0])), documents)


@pytest.fixture(scope="session")
def target() -> LlamaForCausalLM:
    return build()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the checkpoints "target" and "small" (fewer layers, the same tokens), and "corpus.txt"."""
    place = tmp_path_factory.mktemp("checkpoints")
    save(build(), place / "target")
    save(build(2, seed=1), place / "small")
    texts = (" ".join(f"w{token}" for token in document) for document in documents(60))
    (place / "corpus.txt").write_text("\n<|endoftext|>\n".join(texts), encoding="utf-8")
    return place


@pytest.fixture
def settings(checkpoints: Path, tmp_path: Path) -> Settings:
    """A run of some steps, whose length hangs on no clock."""
    return Settings(
        target=str(checkpoints / "target"),
        corpus=(checkpoints / "corpus.txt",),
        out=tmp_path / "draft",
        layers=2,
        tokens=1000,
        own_tokens=300,
        corpus_tokens=200,
        held_out_tokens=100,
        batch_tokens=256,
        evaluations=2,
    )
