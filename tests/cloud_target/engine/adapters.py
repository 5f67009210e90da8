"""LoRA adapters that the tests make, and what they make of a model where they are merged by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FEEDING = ("gate_proj", "up_proj", "down_proj")
_PREFIX = "base_model.model."
Tensors = dict[str, torch.Tensor]


def write_adapter(
    place: Path,
    base: Path,
    layers: Sequence[str] = ATTENTION,
    rank: int = 4,
    seed: int = 0,
    change: Callable[[Tensors], object] = lambda _: None,
    **config: object,
) -> Path:
    """An adapter of a checkpoint, large enough to matter.

    Args:
        layers: what it changes, by the last part of their names.
        change: of its tensors, before they are written.
        config: what else `adapter_config.json` says.
    """
    torch.manual_seed(seed)
    tensors: Tensors = {}
    for name, weight in load_file(base / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if module.rpartition(".")[2] in layers:
            outputs, inputs = weight.shape
            tensors[f"{_PREFIX}{module}.lora_A.weight"] = 0.2 * torch.randn(rank, inputs)
            tensors[f"{_PREFIX}{module}.lora_B.weight"] = 0.2 * torch.randn(outputs, rank)
    change(tensors)
    place.mkdir(parents=True)
    save_file(tensors, place / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": [*layers]} | config
    (place / "adapter_config.json").write_text(json.dumps(said))
    return place


def merged(place: Path, base: Path, adapter: Path) -> Path:
    """The checkpoint that computes what `base` does with an adapter, in float32: W + B A * alpha / r."""
    shutil.copytree(base, place)
    said = json.loads((adapter / "adapter_config.json").read_text())
    scale = said["lora_alpha"] / (said["r"] ** 0.5 if said.get("use_rslora") else said["r"])
    weights = {name: weight.float() for name, weight in load_file(base / "model.safetensors").items()}
    matrices = load_file(adapter / "adapter_model.safetensors")
    for name in [name for name in matrices if ".lora_A." in name]:
        change = matrices[name.replace(".lora_A.", ".lora_B.")] @ matrices[name] * scale
        weights[name.removeprefix(_PREFIX).replace(".lora_A.", ".")] += change
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    return place
