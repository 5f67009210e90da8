"""Worlds in which a promise is put to the test: the target, the draft or the kind of text is not the calibrated one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from benchmarks.prose import unseen_prose
from cloud_target.engine.files import POCKET, find_directory
from shared.manifest import FILES, read_manifest, write_manifest


class Scenario(StrEnum):
    """What is not as it was when the verifier was calibrated."""

    PLAIN = "plain"  # nothing
    NOISED = "noised"  # the target: a little noise on its weights
    OTHER = "other"  # the target: so much noise that it is another one; it still writes text
    UNSEEN = "unseen"  # the text: English of a kind that neither model was trained on
    COARSE = "coarse"  # the draft: rounded harder than the one that the bundle was calibrated with


# Standard deviations of the noise, in those of each tensor. At 0.4 four of ten of the pocket draft's words are not the
# target's, and what that writes is only just English.
NOISE = {Scenario.NOISED: 0.05, Scenario.OTHER: 0.4}
# Bits that are left of a draft's 8-bit weights. With 5 the pocket draft hardly writes otherwise, with 3 it is ruined.
COARSE_BITS = 4


@dataclass(frozen=True)
class Stage:
    """Who plays in a scenario.

    Attributes:
        target: as `cloud-target serve --target` takes it.
        bundle: of the devices.
        texts: documents to take prompts from, by name; None for those that the user gives.
    """

    target: str
    bundle: Path
    texts: dict[str, list[str]] | None = None


def build(scenario: Scenario, bundle: Path, scratch: Path, target: str = POCKET) -> Stage:
    """Make what a scenario needs.

    Args:
        bundle, target: what would be used otherwise.
        scratch: an empty directory; what is made lies there.

    Raises:
        BundleError, InputError: the bundle or the target cannot be read.
    """
    match scenario:
        case Scenario.PLAIN:
            return Stage(target, bundle)
        case Scenario.NOISED | Scenario.OTHER:
            noised_target(find_directory(target), scratch / scenario, NOISE[scenario])
            return Stage(str(scratch / scenario), bundle)
        case Scenario.UNSEEN:
            return Stage(target, bundle, unseen_prose())
        case Scenario.COARSE:
            coarse_bundle(bundle, scratch / scenario, COARSE_BITS)
            return Stage(target, scratch / scenario)


def noised_target(source: Path, out: Path, noise: float, seed: int = 0) -> None:
    """Copy a checkpoint in one safetensors file, with Gaussian noise on its weights.

    Args:
        noise: standard deviation, in those of each tensor.
    """
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, out)
    generator = torch.Generator().manual_seed(seed)
    tensors = load_file(out / "model.safetensors")
    for name, tensor in sorted(tensors.items()):
        wide = tensor.float()
        wide += noise * wide.std() * torch.randn(wide.shape, generator=generator)
        tensors[name] = wide.to(tensor.dtype)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def coarse_bundle(source: Path, out: Path, bits: int) -> None:
    """Copy a bundle, with the draft's weights rounded to `bits` bits. Verifier and calibration stay what they are.

    A float32 draft is brought to 8 bits first.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    from cloud_target.export.builder import Graph
    from cloud_target.export.check import make_probe
    from cloud_target.export.precision import Precision
    from cloud_target.export.quantise import quantise
    from cloud_target.export.runner import Runner

    manifest = read_manifest(source)
    graph = onnx.load(source / "draft.onnx")
    if manifest.draft.dtype != "int8":
        graph = quantise(Graph.of(graph), Precision(block=64)).whole()
    step, middle = 1 << (8 - bits), 128
    for weight in graph.graph.initializer:
        if weight.name.endswith(".int8"):
            levels = np.rint((numpy_helper.to_array(weight).astype(np.float32) - middle) / step)
            rounded = np.clip(levels * step + middle, 0, 255).astype(np.uint8)
            weight.CopyFrom(numpy_helper.from_array(rounded, weight.name))
    out.mkdir()
    for name in FILES:
        shutil.copy(source / name, out / name)
    onnx.save(graph, out / "draft.onnx")
    probe = make_probe(Runner(graph, manifest.context), manifest.probe.ids, 1.0, "int8")
    probe = replace(probe, tolerance=max(manifest.probe.tolerance, probe.tolerance))
    calibrated = manifest.calibrated_draft or manifest.digests["draft.onnx"]
    draft = replace(manifest.draft, dtype="int8", apart=False)
    write_manifest(out, replace(manifest, draft=draft, probe=probe, calibrated_draft=calibrated))
