"""What can be loaded, what cannot, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cloud_target.engine import files
from cloud_target.engine.files import find_directory, target_fingerprint, weight_files
from cloud_target.engine.hf.model import choose_device, load_target
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import write_checkpoint


def edit_config(directory: Path, **fields: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_the_fingerprint_follows_weights_and_architecture_only(tmp_path):
    first = write_checkpoint(tmp_path / "a")
    again, other = write_checkpoint(tmp_path / "b"), write_checkpoint(tmp_path / "c", seed=1)
    fingerprint = target_fingerprint(first)
    assert target_fingerprint(again) == fingerprint
    assert target_fingerprint(other) != fingerprint
    edit_config(again, transformers_version="9.9", torch_dtype="float16", eos_token_id=3)
    assert target_fingerprint(again) == fingerprint
    edit_config(again, rms_norm_eps=0.5)
    assert target_fingerprint(again) != fingerprint


def test_the_fingerprint_covers_what_is_loaded_and_nothing_beside_it(tmp_path):
    directory = write_checkpoint(tmp_path)
    fingerprint = target_fingerprint(directory)
    (directory / "model.fp16.safetensors").write_bytes(b"a variant")
    assert target_fingerprint(directory) == fingerprint
    parts = {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-1.safetensors"}
    (directory / "model.safetensors").rename(directory / "model-1.safetensors")
    (directory / "model-2.safetensors").write_bytes(b"more")
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert [path.name for path in weight_files(directory)] == ["model-1.safetensors", "model-2.safetensors"]
    whole = target_fingerprint(directory)
    (directory / "model-2.safetensors").write_bytes(b"else")
    assert len({fingerprint, whole, target_fingerprint(directory)}) == 3


def test_names(tmp_path):
    target = load_target(str(write_checkpoint(tmp_path / "my-model")), "cpu")
    assert target.description.name == "my-model"
    assert target.description.dtype == "float32"
    assert not target.model.training


def test_missing_directory(tmp_path):
    with pytest.raises(InputError, match="there is no directory"):
        load_target(str(tmp_path / "nowhere"), "cpu")


def test_a_directory_that_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_target(str(tmp_path), "cpu")


def test_no_network_or_no_such_model():
    with pytest.raises(InputError, match="neither a directory here nor to be had from the Hugging Face hub"):
        load_target("no-such-owner/no-such-model", "cpu")


def test_hub_ids_are_fetched_tokenizer_first(tmp_path):
    fetched = []

    def fetch(name: str, file: str) -> str:
        if file == "adapter_config.json":
            raise OSError("there is none")
        fetched.append((name, file))
        return str(tmp_path / file)

    assert find_directory("owner/model", fetch) == tmp_path
    assert fetched == [("owner/model", "tokenizer.json"), ("owner/model", "config.json")]


def test_an_adapter_of_the_hub_is_refused():
    with pytest.raises(InputError, match=r"owner/adapter holds an adapter \(adapter_config.json\), .* merge it"):
        find_directory("owner/adapter", lambda name, file: f"/cache/{name}/{file}")


def test_the_embedded_target_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "POCKET_DIRECTORY", tmp_path / "gone")
    with pytest.raises(InputError, match="embedded target is missing"):
        load_target("pocket", "cpu")


def test_no_fast_tokenizer(tmp_path):
    (write_checkpoint(tmp_path) / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has no tokenizer\.json, and transformers cannot make one"):
        load_target(str(tmp_path), "cpu")


def test_tokenizer_bigger_than_the_model(tmp_path):
    write_checkpoint(tmp_path, vocabulary=60)
    with pytest.raises(InputError, match="60 ids and the model knows only 48"):
        load_target(str(tmp_path), "cpu")


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("config.json", "cannot be read|cannot load"),
        ("tokenizer.json", "cannot load a tokenizer"),
        ("model.safetensors", "cannot load"),
    ],
)
def test_damaged_files(tmp_path, file, match):
    (write_checkpoint(tmp_path) / file).write_bytes(b"{ this is not it")
    with pytest.raises(InputError, match=match):
        load_target(str(tmp_path), "cpu")


def test_no_weights(tmp_path):
    (write_checkpoint(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        load_target(str(tmp_path), "cpu")


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    write_checkpoint(tmp_path)
    edit_config(tmp_path, num_hidden_layers=3)
    with pytest.raises(InputError, match=r"lacks \d+ of the model's weights"):
        load_target(str(tmp_path), "cpu")


def test_rotary_parameters_of_transformers_5_are_kept(tmp_path):
    """transformers 4 would read theta 10000 whatever the file says."""
    write_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for key in ("rope_theta", "rope_scaling", "rope_parameters"):
        config.pop(key, None)
    text = torch.arange(30)[None]

    def logits(**rope: object) -> torch.Tensor:
        (tmp_path / "config.json").write_text(json.dumps(config | rope))
        with torch.inference_mode():
            return load_target(str(tmp_path), "cpu").model(input_ids=text).logits

    new = logits(rope_parameters={"rope_theta": 500.0, "rope_type": "default"})
    assert not torch.allclose(new, logits(rope_theta=10000.0), atol=1e-3)
    assert torch.allclose(new, logits(rope_theta=500.0), atol=1e-6)


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(InputError, match="no CUDA device"):
        choose_device("cuda")
