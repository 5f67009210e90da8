"""The verifier and the heads it is compared with, fitted, exported, and read back as the edge runs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from cloud_target.export import head
from cloud_target.prepare.labels import read_rows
from cloud_target.prepare.settings import Settings
from cloud_target.training import doubts, verifier
from cloud_target.training.doubts import fit_comparison_heads
from cloud_target.training.label import Rows
from cloud_target.training.verifier import FitSettings, fit
from cloud_target.training.work import Stage, Work, code

VERIFIER = "verifier.onnx"


class ExportedHead:
    """A head from its graph: calibrated with the very numbers that a device will compute.

    Args:
        path: of what `Head.export` wrote.
    """

    def __init__(self, path: str | Path) -> None:
        model = head.take_several(onnx.load(path))  # the edge gives it one row, we many
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it refuses, it says in its error too
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)

    def doubt(self, features: np.ndarray) -> np.ndarray:
        """The probability that the drawn token is off-target by each criterion, ``float32 [N, 2]``."""
        return self._session.run(None, {"features": features})[0]


def fit_heads(work: Work, rows: Sequence[Stage], settings: Settings) -> Stage:
    """Fit on all rows; leaves `verifier.onnx`, the heads it is compared with, and `heads.json`."""

    def make(directory: Path) -> None:
        joined = Rows.join([read_rows(stage) for stage in rows])
        fitted, loss = fit(joined, FitSettings(seed=settings.seed))
        fitted.export(directory / VERIFIER)
        others = {}
        for number, (name, other) in enumerate(fit_comparison_heads(joined, settings.seed).items()):
            others[name] = f"other-{number}.onnx"
            other.export(directory / others[name])
        found = {"rows": len(joined), "loss": loss, "others": others}
        (directory / "heads.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    return work.stage("heads", {"seed": settings.seed, "code": code(verifier, doubts, head)}, make, rows)


def read_heads(stage: Stage) -> tuple[ExportedHead, dict[str, ExportedHead], dict]:
    """The verifier, the heads it is compared with by their names, and what `heads.json` says of the fit."""
    found = json.loads((stage / "heads.json").read_text(encoding="utf-8"))
    others = {name: ExportedHead(stage / file) for name, file in found["others"].items()}
    return ExportedHead(stage / VERIFIER), others, found
