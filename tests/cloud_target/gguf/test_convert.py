"""A GGUF file becomes the model that it was made from, with its tokens, its template and its ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cloud_target.cli import main
from cloud_target.engine.tokens import read_tokens
from cloud_target.export.bundle import make_bundle
from cloud_target.export.checkpoint import load_checkpoint
from cloud_target.gguf.convert import convert
from shared.errors import InputError
from tests.cloud_target.distil.test_training import full_disk
from tests.cloud_target.gguf.conftest import build, words_of
from tests.shared.chat.families import write as write_family

pytestmark = pytest.mark.slow
IDS = torch.arange(60)[None] * 5 % 300
VOCABULARY = len(words_of("qwen2")[0])


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_it_computes_what_the_original_does(write: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    model = build(kind, VOCABULARY)
    told: list[str] = []
    convert(write(kind=kind, model=model), tmp_path / "out", "float32", tell=told.append)
    read = load_checkpoint(str(tmp_path / "out"))
    with torch.inference_mode():
        ours, theirs = read.model(input_ids=IDS).logits, model(input_ids=IDS).logits
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)
    words = words_of("qwen2")[0]
    assert [words[id] for id in read.end_ids] == ["<|endoftext|>", "<|im_end|>"]
    tokens = read_tokens(tmp_path / "out")
    assert tokens.chat is not None
    wanted = read_tokens(write_family("qwen2", tmp_path)).tokenizer.encode("Once upon a time <|im_end|>").ids
    assert tokens.tokenizer.encode("Once upon a time <|im_end|>").ids == wanted
    assert told[0] == f"tiny: {kind}"
    assert "it was not read as it was meant" in told[-1]  # random weights know no English
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_weights_in_few_bits_become_the_numbers_that_they_stand_for(write: Callable[..., Path], tmp_path: Path) -> None:
    q8 = gguf.GGMLQuantizationType.Q8_0
    model = build("qwen2", VOCABULARY)
    convert(write(kind="qwen2", model=model, quantised=q8), tmp_path / "out", "float32")
    read = load_checkpoint(str(tmp_path / "out")).model.state_dict()
    name = "model.layers.1.mlp.up_proj.weight"
    wanted = gguf.quants.dequantize(gguf.quants.quantize(model.state_dict()[name].numpy(), q8), q8)
    np.testing.assert_array_equal(read[name].numpy(), wanted)


def test_what_was_made_becomes_a_bundle(write: Callable[..., Path], tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["gguf", str(write(fillers=8)), "--out", str(out), "--dtype", "float16"]) == 0
    assert f"`cloud-target serve --target {out}` serves it" in capsys.readouterr().out
    assert make_bundle(out, tmp_path / "bundle").manifest.vocabulary == VOCABULARY
    assert load_file(out / "model.safetensors")["model.norm.weight"].dtype == torch.float16


def test_a_tokenizer_may_be_given(write: Callable[..., Path], tmp_path: Path) -> None:
    path, out = write(pre="mystery"), tmp_path / "out"
    with pytest.raises(InputError, match="'mystery' does, which cannot be told"):
        convert(path, out, "float32")
    (tmp_path / "family").mkdir()
    convert(path, out, "float32", tokenizer=str(write_family("qwen2", tmp_path / "family")))
    ours, theirs = (read_tokens(place).tokenizer for place in (out, tmp_path / "family"))
    assert ours.encode("Hi 12").ids == theirs.encode("Hi 12").ids


def test_what_cannot_be_used_is_told_and_leaves_nothing(write: Callable[..., Path], tmp_path: Path) -> None:
    path, out = write(), tmp_path / "out"
    for name, bytes_, why in (
        ("text.gguf", b"hello, world", "is no GGUF file"),
        ("cut.gguf", path.read_bytes()[:5000], "is damaged or cut short"),
    ):
        (tmp_path / name).write_bytes(bytes_)
        with pytest.raises(InputError, match=why):
            convert(tmp_path / name, out, "float32")
    with pytest.raises(InputError, match="cannot read"):
        convert(tmp_path / "nowhere.gguf", out, "float32")
    with pytest.raises(InputError, match="is one of 3 parts"):
        convert(write(parts=3), out, "float32")
    assert not out.exists()
    out.mkdir()
    with pytest.raises(InputError, match="is there already"):
        convert(path, out, "float32")
    assert list(tmp_path.glob(".out*")) == []


@pytest.mark.parametrize("room", [500, 40_000], ids=["at the tokens", "at the weights"])
def test_a_full_disk_is_told_of_and_leaves_nothing(write: Callable[..., Path], tmp_path: Path, room: int) -> None:
    path, out = write(), tmp_path / "out"
    with full_disk(room), pytest.raises(InputError, match=r"cannot write to .*; make room there"):
        convert(path, out, "float32")
    assert not out.exists()
    assert list(tmp_path.glob(".out*")) == []
