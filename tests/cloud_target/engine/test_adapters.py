"""Adapters are found, seen to fit their model, and told apart by what they compute."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cloud_target.engine.adapters import LocalAdapter, find_adapters
from shared.errors import InputError
from tests.cloud_target.engine.adapters import ATTENTION, FEEDING, write_adapter
from tests.cloud_target.engine.checkpoints import write_checkpoint

Q = "base_model.model.model.layers.1.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("base") / "llama")


def find(base: Path, *given: tuple[str, Path], fingerprint: str = "f") -> list[LocalAdapter]:
    return find_adapters([(name, str(path)) for name, path in given], base, fingerprint, "llama")


def test_an_adapter_is_known_by_its_name_its_rank_and_what_it_changes(base, tmp_path):
    one = write_adapter(tmp_path / "one", base, ATTENTION, 4)
    two = write_adapter(tmp_path / "two", base, FEEDING, 6)
    first, second = find(base, ("poet", one), ("clerk", two))
    assert (first.adapter.name, first.rank, first.layers) == ("poet", 4, frozenset(ATTENTION))
    assert (second.adapter.name, second.rank, second.directory) == ("clerk", 6, two)


def test_its_fingerprint_is_that_of_what_is_computed(base, tmp_path):
    def of(name: str, fingerprint: str = "f", **options: object) -> str:
        directory = write_adapter(tmp_path / name, base, **options)
        return find(base, ("poet", directory), fingerprint=fingerprint)[0].adapter.fingerprint

    same = {of("a"), of("b", base_model_name_or_path="elsewhere", inference_mode=True)}
    others = [of("c", seed=1), of("d", lora_alpha=1), of("e", fingerprint="g"), of("f", use_rslora=True)]
    assert len(same) == 1
    assert len(same | set(others)) == 5


def halve(tensors: dict[str, torch.Tensor]) -> None:
    tensors[f"{Q}.lora_A.weight"] = tensors[f"{Q}.lora_A.weight"][:, :16].clone()


def move(tensors: dict[str, torch.Tensor]) -> None:
    for matrix in "AB":
        name = f"{Q}.lora_{matrix}.weight"
        tensors[name.replace("layers.1", "layers.7")] = tensors.pop(name)


def turn(tensors: dict[str, torch.Tensor]) -> None:
    for name in [name for name in tensors if ".lora_A." in name]:
        other = name.replace(".lora_A.", ".lora_B.")
        tensors[name], tensors[other] = tensors[other].T.contiguous(), tensors[name].T.contiguous()


def narrow(tensors: dict[str, torch.Tensor]) -> None:
    tensors[f"{Q}.lora_B.weight"] = tensors[f"{Q}.lora_B.weight"][:, :2].clone()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (halve, "layers.1.self_attn.q_proj as one of 32 x 16, which is 32 x 32 in llama; it is for another model"),
        (move, "changes model.layers.7.self_attn.q_proj, which llama does not have; it is for another model"),
        (narrow, "q_proj are of 4 x 32 and 32 x 2, which have no rank in common"),
        (lambda tensors: tensors.pop(f"{Q}.lora_B.weight"), "q_proj it holds one matrix, and there must be two"),
        (lambda tensors: tensors.clear(), "there is nothing in its adapter_model.safetensors"),
        (
            lambda tensors: tensors.update({f"{Q}.lora_magnitude_vector": torch.ones(2)}),
            "holds .*magnitude_vector, and",
        ),
        (lambda tensors: tensors.update({"base_model.model.lm_head.lora_A.weight": torch.ones(2, 2)}), "lm_head"),
    ],
)
def test_one_that_does_not_fit_is_refused_by_name(base, tmp_path, change: Callable, sentence):
    directory = write_adapter(tmp_path / "one", base, change=change)
    with pytest.raises(InputError, match=f"the adapter poet cannot be used: .*{sentence}"):
        find(base, ("poet", directory))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"r": 8}, "self_attn.[a-z]_proj are of rank 4, and its adapter_config.json says r = 8"),
        ({"r": None}, "r and lora_alpha in its adapter_config.json must be numbers, not None and 8"),
        ({"lora_alpha": "8"}, "must be numbers, not 4 and '8'"),
        ({"lora_alpha": None}, "must be numbers, not 4 and None"),
        ({"rank_pattern": {"q_proj": 4}}, "says rank_pattern, and one scale"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern, and one scale"),
    ],
)
def test_one_that_would_be_scaled_otherwise_is_refused(base, tmp_path, config, sentence):
    directory = write_adapter(tmp_path / "one", base, **config)
    with pytest.raises(InputError, match=f"the adapter poet cannot be used: .*({sentence})"):
        find(base, ("poet", directory))


def test_only_one_that_says_so_is_the_other_way_round(base, tmp_path):
    feeding = write_adapter(tmp_path / "one", base, FEEDING, change=turn)
    with pytest.raises(InputError, match=r"which is .* in llama; it is for another model"):
        find(base, ("poet", feeding))
    said = write_adapter(tmp_path / "two", base, FEEDING, change=turn, fan_in_fan_out=True)
    assert find(base, ("poet", said))


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_one_that_is_missing_or_damaged_is_refused(base, tmp_path, file):
    directory = write_adapter(tmp_path / "one", base)
    (directory / file).write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=f"{file} cannot be read"):
        find(base, ("poet", directory))
    (directory / file).unlink()
    with pytest.raises(InputError, match=f"the adapter poet cannot be used: .* has no {file}; give the directory"):
        find(base, ("poet", directory))


def test_other_kinds_and_two_of_one_name_are_refused(base, tmp_path):
    directory = write_adapter(tmp_path / "one", base, peft_type="IA3")
    with pytest.raises(InputError, match="it is of the kind IA3, and only LORA is read here"):
        find(base, ("poet", directory))
    directory = write_adapter(tmp_path / "two", base)
    with pytest.raises(InputError, match="two adapters have the name poet"):
        find(base, ("poet", directory), ("poet", directory))


def test_quantised_models_are_compared_by_the_names_of_their_layers_only(base, tmp_path):
    packed = write_checkpoint(tmp_path / "packed")
    config = json.loads((packed / "config.json").read_text()) | {"quantization_config": {"quant_method": "awq"}}
    (packed / "config.json").write_text(json.dumps(config))
    assert find(packed, ("poet", write_adapter(tmp_path / "one", base, change=halve)))
    with pytest.raises(InputError, match="which llama does not have"):
        find(packed, ("poet", write_adapter(tmp_path / "two", base, change=move)))
