"""Directories that look like bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shared.calibration import Calibration
from shared.config import Criterion
from shared.manifest import write_manifest
from tests.edge_client.scripted_device import manifest


def made_bundle(directory: Path) -> str:
    """A bundle whose graphs are nothing, with one calibrated budget."""
    for name in ("draft.onnx", "verifier.onnx", "tokenizer.json"):
        (directory / name).write_bytes(b"x" * 1_500_000)
    cell = Calibration(Criterion.TYPICAL, 0.7, 0.9, 0.01, 0.25, 0.0093, 0.11, 65000, 280, 0.0098, 0.9)
    write_manifest(directory, replace(manifest(), calibration=[cell]))
    return str(directory)
