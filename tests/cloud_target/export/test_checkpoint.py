"""Checkpoints are read as they were meant, and pairs that cannot work are refused in a sentence."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from cloud_target.engine.hf.context import longest_text
from cloud_target.export.check import probe_ids, reference
from cloud_target.export.checkpoint import check_same_tokens, load_checkpoint
from shared.errors import InputError
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build, save, tiny_tokenizer

IDS = probe_ids(VOCABULARY, CONTEXT)


def test_padding_of_the_vocabulary_is_cut(checkpoints):
    checkpoint = load_checkpoint(checkpoints["llama"])
    assert checkpoint.vocabulary == VOCABULARY
    logits, _ = reference(checkpoint.model, IDS)
    padded, _ = reference(build("llama", VOCABULARY + 5), IDS)
    np.testing.assert_allclose(logits, padded[:, :VOCABULARY], atol=1e-5)


def test_end_of_text_and_context_come_from_the_checkpoint(checkpoints):
    checkpoint = load_checkpoint(checkpoints["gpt2"])
    assert (checkpoint.end_ids, longest_text(checkpoint.model.config), checkpoint.name) == ([0], CONTEXT, "gpt2")


def test_rotary_base_of_a_newer_checkpoint_is_obeyed(tmp_path):
    """transformers 5 writes `rope_parameters`; transformers 4 would silently use 10000."""
    model = build("llama", rope_theta=500.0)
    path = save(model, tmp_path / "newer")
    config = json.loads((path / "config.json").read_text())
    config.pop("rope_theta", None)
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 500.0}
    (path / "config.json").write_text(json.dumps(config))
    np.testing.assert_allclose(reference(load_checkpoint(path).model, IDS)[0], reference(model, IDS)[0], atol=1e-5)


def test_scaled_rotary_embedding_of_a_newer_checkpoint_is_obeyed(tmp_path):
    scaling = {"rope_type": "linear", "factor": 3.0}
    model = build("llama", rope_scaling=scaling)
    path = save(model, tmp_path / "newer")
    config = json.loads((path / "config.json").read_text())
    for key in ("rope_scaling", "rope_theta"):
        config.pop(key, None)
    config["rope_parameters"] = scaling | {"rope_theta": 500.0}
    (path / "config.json").write_text(json.dumps(config))
    np.testing.assert_allclose(reference(load_checkpoint(path).model, IDS)[0], reference(model, IDS)[0], atol=1e-5)


def test_pair_of_one_tokenizer_passes_and_another_is_named():
    check_same_tokens(tiny_tokenizer(), tiny_tokenizer())
    with pytest.raises(InputError, match=r"token 7 is 'w7' for the draft and 'other' for the target"):
        check_same_tokens(tiny_tokenizer(), tiny_tokenizer(changed=7))
    with pytest.raises(InputError, match=rf"token {VOCABULARY} is missing for the draft"):
        check_same_tokens(tiny_tokenizer(), tiny_tokenizer(VOCABULARY + 2))


def test_tokenizer_with_more_ids_than_the_model_is_refused(tmp_path):
    path = save(build("gpt2"), tmp_path / "model", tiny_tokenizer(VOCABULARY + 1))
    with pytest.raises(InputError, match=f"knows {VOCABULARY} tokens, its tokenizer {VOCABULARY + 1}"):
        load_checkpoint(path)


def test_missing_and_damaged_checkpoints_are_refused(tmp_path, checkpoints):
    with pytest.raises(InputError, match="there is no directory"):
        load_checkpoint(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"no config\.json"):
        load_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text((checkpoints["llama"] / "config.json").read_text())
    with pytest.raises(InputError, match=r"has no tokenizer\.json"):
        load_checkpoint(tmp_path)
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="has no weights"):
        load_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match=r"cannot load .* as a causal language model"):
        load_checkpoint(tmp_path)


def test_missing_weights_are_not_filled_with_noise(tmp_path, checkpoints):
    shutil.copytree(checkpoints["qwen2"], tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of the model's weights \(model\.layers\.1\.mlp\.down_proj"):
        load_checkpoint(tmp_path / "model")
