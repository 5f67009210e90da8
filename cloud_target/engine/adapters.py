"""LoRA adapters of a target: found, compared with the model that they are for, and given a fingerprint. Needs no torch.

An adapter is a directory as PEFT writes it: `adapter_config.json`, and `adapter_model.safetensors` with a pair of
matrices for each weight W that it changes, which the model then reads as W + B A * alpha / r
(Hu et al., arXiv 2106.09685).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_target.engine.files import read_config, read_json, weight_files
from cloud_target.engine.interface import Adapter
from shared.errors import InputError
from shared.identity import file_digest, weights_fingerprint

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# The name of a weight's matrix in an adapter's file.
_MATRIX = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight")
# What a configuration says about where an adapter came from, rather than about what it changes.
_INCIDENTAL = {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"}
_ABOUT = ("lora",)
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LocalAdapter:
    """An adapter that lies here.

    Attributes:
        adapter: as edges know it.
        directory: that it lies in.
        rank: the largest of its pairs.
        layers: what the layers are called that it changes, by the last part of their names.
    """

    adapter: Adapter
    directory: Path
    rank: int
    layers: frozenset[str]


def find_adapters(given: Sequence[tuple[str, str]], base: Path, fingerprint: str, name: str) -> list[LocalAdapter]:
    """Adapters as they were given, by name and directory, each of them seen to fit the model.

    Args:
        base: the model's directory.
        fingerprint: of the model.
        name: of the model, for people.

    Raises:
        InputError: one of them is missing, damaged, of another kind or for another model, or two have one name.
    """
    found: dict[str, LocalAdapter] = {}
    shapes = _base_shapes(base) if given else {}
    for own, path in given:
        if own in found:
            raise InputError(f"two adapters have the name {own}; give each another one", options=_ABOUT)
        found[own] = _find(own, Path(path).expanduser(), shapes, fingerprint, name)
    return list(found.values())


def _find(own: str, directory: Path, base: Mapping[str, Shape], fingerprint: str, name: str) -> LocalAdapter:
    for file in (_CONFIG, _WEIGHTS):
        if not (directory / file).is_file():
            raise _unfit(own, f"{directory} has no {file}; give the directory that PEFT's save_pretrained has written")
    config = read_json(directory / _CONFIG)
    if (kind := config.get("peft_type", "LORA")) != "LORA":
        raise _unfit(own, f"it is of the kind {kind}, and only LORA is read here")
    said_rank = _check_scale(own, config)
    is_turned = config.get("fan_in_fan_out") is True
    rank, layers = 0, set()
    for module, (a, b) in _pairs(own, directory):
        if (rank := _check_pair(own, module, a, b)) != said_rank:
            raise _unfit(own, f"its matrices of {module} are of rank {rank}, and its {_CONFIG} says r = {said_rank}")
        layers.add(module.rpartition(".")[2])
        _check_fit(own, module, (b[0], a[1]), base, name, is_turned)
    if not rank:
        raise _unfit(own, f"there is nothing in its {_WEIGHTS}")
    said = json.dumps({key: value for key, value in config.items() if key not in _INCIDENTAL}, sort_keys=True)
    parts = [("base", fingerprint.encode()), (_WEIGHTS, file_digest(directory / _WEIGHTS).encode())]
    return LocalAdapter(Adapter(own, weights_fingerprint(said, parts)), directory.resolve(), rank, frozenset(layers))


def _check_scale(own: str, config: Mapping[str, Any]) -> int:
    """The rank that an adapter says it has: with `lora_alpha` it is what vLLM scales all of its matrices by."""
    for key in ("rank_pattern", "alpha_pattern"):
        if config.get(key):
            raise _unfit(own, f"its {_CONFIG} says {key}, and one scale for all of its matrices is read here")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise _unfit(own, f"r and lora_alpha in its {_CONFIG} must be numbers, not {rank!r} and {alpha!r}")
    return rank


def _pairs(own: str, directory: Path) -> Iterator[tuple[str, tuple[Shape, Shape]]]:
    """The weights that an adapter changes, each with the shapes of A, ``[r, inputs]``, and B, ``[outputs, r]``."""
    found: dict[str, dict[str, Shape]] = {}
    for tensor, shape in _shapes(own, directory / _WEIGHTS):
        matrix = _MATRIX.fullmatch(tensor)
        if matrix is None or "lm_head" in matrix[1]:
            raise _unfit(own, f"it holds {tensor}, and only pairs of matrices of inner linear layers are read here")
        found.setdefault(matrix[1], {})[matrix[2]] = shape
    for module, pair in sorted(found.items()):
        if len(pair) != 2:
            raise _unfit(own, f"of {module} it holds one matrix, and there must be two; get it again, whole")
        yield module, (pair["A"], pair["B"])


def _check_pair(own: str, module: str, a: Shape, b: Shape) -> int:
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or not a[0]:
        raise _unfit(own, f"its matrices of {module} are of {_by(a)} and {_by(b)}, which have no rank in common")
    return a[0]


def _check_fit(own: str, module: str, shape: Shape, base: Mapping[str, Shape], name: str, is_turned: bool) -> None:
    # Experts are packed by some models and not by others, and a model whose files are not read here has no shapes.
    if not base or ".experts" in module:
        return
    parts = module.split(".")
    candidates = [module, f"model.{module}", *(".".join(parts[i:]) for i in range(1, len(parts) - 1))]
    there = next((base[each] for each in candidates if each in base), None)
    if there is None:
        raise _unfit(own, f"it changes {module}, which {name} does not have; it is for another model")
    # Some models keep their weights the other way round, as PEFT then says, and quantised ones pack them.
    if there and shape != (there[::-1] if is_turned else there):
        raise _unfit(
            own, f"it changes {module} as one of {_by(shape)}, which is {_by(there)} in {name}; it is for another model"
        )


def _base_shapes(directory: Path) -> dict[str, Shape]:
    """The shapes of a model's weights by module, none where they are packed; no files but safetensors are read."""
    found: dict[str, Shape] = {}
    is_packed = "quantization_config" in read_config(directory)
    for file in weight_files(directory):
        if file.suffix != ".safetensors":
            return {}
        for tensor, shape in _shapes(None, file):
            module, _, kind = tensor.rpartition(".")
            if kind in ("weight", "qweight"):
                found[module] = () if is_packed or len(shape) != 2 else shape
    return found


def _shapes(own: str | None, file: Path) -> list[tuple[str, Shape]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as tensors:
            return [(name, tuple(tensors.get_slice(name).get_shape())) for name in tensors.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        if own is None:
            raise InputError(f"{file} cannot be read ({error}); get the model again") from error
        raise _unfit(own, f"{file} cannot be read ({error}); get it again") from error


def _unfit(own: str, why: str) -> InputError:
    return InputError(f"the adapter {own} cannot be used: {why}", options=_ABOUT)


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "one number"
