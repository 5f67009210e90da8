"""Thirty thousand tokens: read by graph and target, written on as transformers does, and read again after a restart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from benchmarks.local_target import TargetProcess
from cloud_target.cli import main as cloud_target
from edge_client import Edge
from shared.config import Mode
from tests.cloud_target.engine.checkpoints import VOCABULARY, make_tokenizer

pytestmark = pytest.mark.slow

CONTEXT, LONG, TOKENS = 32_768, 30_000, 48
PROMPT = "".join(random.Random(5).choices([chr(32 + i) for i in range(1, VOCABULARY)], k=LONG))


def checkpoint(directory: Path, seed: int) -> Path:
    """A Llama of one layer that reads long texts."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=CONTEXT, initializer_range=0.4, bos_token_id=None,
        eos_token_id=None, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(directory)
    make_tokenizer().save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """Target and bundle; the draft is the same kind of model with other weights, so that many of its guesses fall."""
    place = tmp_path_factory.mktemp("long")
    target, draft = checkpoint(place / "target", 1), checkpoint(place / "draft", 2)
    words = ["export", "--draft", str(draft), "--target", str(target), "--context", str(CONTEXT)]
    assert cloud_target([*words, "--out", str(place / "bundle")]) == 0
    return target, place / "bundle"


@pytest.fixture
def serving(pair) -> Iterator[list[TargetProcess]]:
    processes = [TargetProcess(["--target", str(pair[0]), "--context", str(CONTEXT)])]
    yield processes
    processes[-1].stop()


@pytest.fixture(scope="module")
def expected(pair) -> list[int]:
    """What transformers goes on with, greedily."""
    model: Any = AutoModelForCausalLM.from_pretrained(pair[0], dtype=torch.float32)
    ids = torch.tensor([make_tokenizer().encode(PROMPT).ids])
    with torch.inference_mode():
        found = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False)
    return found[0, LONG:].tolist()


@pytest.mark.parametrize("mode", [Mode.CLOUD, Mode.EXACT])
def test_the_text_is_what_transformers_writes(pair, serving, expected, mode):
    with Edge(serving[-1].address, bundle=pair[1], memory=False, on_outage="wait") as edge:
        written = edge.generate(PROMPT, mode=mode, temperature=0, max_tokens=TOKENS)
    assert written.prompt_tokens == LONG
    assert written.token_ids == expected


@pytest.mark.parametrize("mode", [Mode.CLOUD, Mode.EXACT])
def test_a_target_that_was_killed_reads_all_of_it_again(pair, serving, expected, mode):
    with (
        Edge(serving[-1].address, bundle=pair[1], memory=False, on_outage="wait") as edge,
        edge.stream(PROMPT, mode=mode, temperature=0, max_tokens=TOKENS) as stream,
    ):
        for number, _ in enumerate(stream):
            if number == 0:
                port = int(serving[-1].address.rpartition(":")[2])
                serving[-1].kill()
                serving.append(TargetProcess(["--target", str(pair[0]), "--context", str(CONTEXT)], port))
        written = stream.finish()
    assert written.token_ids == expected
    # A device that reads for its guesses sees the first token late, when all may have come already.
    assert written.usage.reconnects >= (mode is Mode.CLOUD)
