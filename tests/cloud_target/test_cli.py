"""Whatever a checkpoint's directory holds, every command that reads it ends in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import MambaConfig, MambaForCausalLM, OpenAIGPTConfig, OpenAIGPTLMHeadModel, T5Config

from cloud_target import cli
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import VOCABULARY, make_tokenizer, write_checkpoint

SMALL = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}


def _of(model: object, directory: Path) -> None:
    model.save_pretrained(directory)
    make_tokenizer().save(str(directory / "tokenizer.json"))


def _edited(directory: Path, **fields: object) -> None:
    path = write_checkpoint(directory) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _shard_lost(directory: Path) -> None:
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-2.safetensors", "a": "model-1.safetensors"}}
    (write_checkpoint(directory) / "model.safetensors").rename(directory / "model-1.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def _truncated(directory: Path) -> None:
    path = write_checkpoint(directory) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


DIRECTORIES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: path.mkdir(),
    "recurrent": lambda path: _of(
        MambaForCausalLM(MambaConfig(vocab_size=48, hidden_size=16, num_hidden_layers=1)), path
    ),
    "no cache": lambda path: _of(OpenAIGPTLMHeadModel(OpenAIGPTConfig(**SMALL)), path),
    "encoder-decoder": lambda path: (write_checkpoint(path), T5Config().save_pretrained(path)),
    "code of its own": lambda path: _edited(path, model_type="mine", auto_map={"AutoConfig": "mine.Config"}),
    "no kind": lambda path: _edited(path, model_type=None),
    "other widths": lambda path: _edited(path, hidden_size=48),
    "a key unknown": lambda path: _edited(path, attention_wobble=3),
    "truncated": _truncated,
    "a shard lost": _shard_lost,
}
COMMANDS = {
    "serve": ["serve", "--port", "0", "--target"],
    "export": ["export", "--out", "bundle", "--draft"],
    "prepare for a target": ["prepare", "--out", "bundle", "--corpus", "corpus", "--draft", "good", "--target"],
    "prepare a draft": ["prepare", "--out", "bundle", "--corpus", "corpus", "--target", "good", "--draft"],
    "train": ["train", "own-text", "corpus", "--tokens", "50", "--out", "own.npz", "--target"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("what", DIRECTORIES)
def test_no_checkpoint_ends_a_command_in_a_traceback(tmp_path, monkeypatch, capsys, command, what):
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "good")
    (tmp_path / "corpus").write_text("<|endoftext|>".join(f"\n1 2 3 4 5 6 7 {i}\n" * 9 for i in range(60)))
    DIRECTORIES[what](tmp_path / "model")
    served = []
    monkeypatch.setattr("cloud_target.server.process.serve", lambda *_: served.append(1))
    assert cli.main([*COMMANDS[command], "model"]) == InputError.exit_status
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("cloud-target: ")
    assert len(last) < 700
    assert not served


@pytest.mark.slow
@pytest.mark.parametrize("what", DIRECTORIES)
def test_doctor_finds_it(tmp_path, monkeypatch, capsys, what):
    DIRECTORIES[what](tmp_path / "model")
    assert cli.main(["doctor", "--port", "0", "--target", str(tmp_path / "model")]) == 1
    found = capsys.readouterr().out
    assert "fail target: " in found
    assert "Traceback" not in found
