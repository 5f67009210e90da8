"""Whatever lies in a checkpoint's directory, it is read whole or refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import T5Config, ViTConfig

from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import load_target
from cloud_target.export.checkpoint import load_checkpoint
from cloud_target.training.models import load_model
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import write_checkpoint

WEIGHTS = "model.safetensors"


def change_weights(directory: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(directory / WEIGHTS)
    change(weights)
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


def change_config(directory: Path, **fields: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def truncate(directory: Path) -> None:
    whole = (directory / WEIGHTS).read_bytes()
    (directory / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def lose_a_shard(directory: Path) -> None:
    (directory / WEIGHTS).rename(directory / "model-1.safetensors")
    names = list(load_file(directory / "model-1.safetensors"))
    parts = {name: f"model-{1 + (i == 3)}.safetensors" for i, name in enumerate(names)}
    (directory / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}))


def put_no_number(directory: Path) -> None:
    def change(weights: dict[str, torch.Tensor]) -> None:
        weights["model.embed_tokens.weight"][5, 3] = torch.nan

    change_weights(directory, change)


def add_a_norm(directory: Path) -> None:
    name = "model.layers.0.self_attn.q_norm.weight"
    change_weights(directory, lambda weights: weights.update({name: torch.ones(8)}))


BROKEN = {
    "truncated": (truncate, "cannot load .* as a causal language model"),
    "a shard is missing": (lose_a_shard, "cannot load .* as a causal language model"),
    "not a number": (put_no_number, r"not numbers \(model\.embed_tokens\.weight\)"),
    "weights without a place": (add_a_norm, r"has 1 weights that a LlamaForCausalLM has no place for"),
    "another vocabulary": (lambda path: change_config(path, vocab_size=64), "cannot load .* as a causal"),
    "other widths": (lambda path: change_config(path, hidden_size=24), "cannot load .* as a causal"),
    "nonsense": (lambda path: change_config(path, num_attention_heads="four"), "cannot load .* as a causal"),
    "a list": (lambda path: (path / "config.json").write_text("[]"), "cannot (load|be read)"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_checkpoint_is_one_sentence(tmp_path, what):
    breaks, match = BROKEN[what]
    breaks(write_checkpoint(tmp_path))
    with pytest.raises(InputError, match=match) as refused:
        TargetEngine(load_target(str(tmp_path), "cpu"), 1 << 20)
    assert len(str(refused.value)) < 700
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 looks at the file")
def test_a_head_of_its_own_is_not_tied_in_silence(tmp_path):
    change_config(write_checkpoint(tmp_path), tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"something else than what is in the file \(lm_head.weight\)"):
        load_target(str(tmp_path), "cpu")


@pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 looks at the file")
@pytest.mark.parametrize("zipped", [True, False])
def test_nor_is_one_in_a_file_of_torch(tmp_path, zipped):
    weights = load_file(write_checkpoint(tmp_path) / WEIGHTS)
    (tmp_path / WEIGHTS).unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    load_target(str(tmp_path), "cpu")
    change_config(tmp_path, tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"something else than what is in the file \(lm_head.weight\)"):
        load_target(str(tmp_path), "cpu")


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
@pytest.mark.parametrize("load", [lambda path: load_target(path, "cpu"), load_checkpoint, load_model])
def test_an_adapter_is_neither_left_out_nor_applied(tmp_path, load, file):
    (write_checkpoint(tmp_path) / file).write_text("{}")
    with pytest.raises(InputError, match=f"holds an adapter .{file}., .* merge it into its model first"):
        load(str(tmp_path))


def test_architectures_need_not_be_named(tmp_path):
    change_config(write_checkpoint(tmp_path), architectures=None)
    assert load_target(str(tmp_path), "cpu").description.vocabulary == 40


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: ViTConfig().save_pretrained(path), r"is no causal language model \(vit\)"),
        (lambda path: T5Config().save_pretrained(path), r"encoder-decoder model \(t5\)"),
    ],
)
def test_what_writes_no_text_is_named(tmp_path, make, match):
    make(write_checkpoint(tmp_path))
    with pytest.raises(InputError, match=match):
        load_target(str(tmp_path), "cpu")
