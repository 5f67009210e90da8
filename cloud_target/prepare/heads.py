"""The verifier and the heads it is compared with: fitted, chosen, exported, and read back as the edge runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from cloud_target.export import head
from cloud_target.prepare.labels import read_numbers, read_rows
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.texts import Text
from cloud_target.training import choice, doubts, scalar, verifier
from cloud_target.training.choice import choose, hold_documents
from cloud_target.training.doubts import FREE, fit_comparison_heads
from cloud_target.training.label import Rows
from cloud_target.training.scalar import scalar_head
from cloud_target.training.verifier import FitSettings, fit
from cloud_target.training.work import Stage, Work, code
from shared.features import NAMES

VERIFIER = "verifier.onnx"
TRAINED = "the trained head"


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


def fit_heads(work: Work, documents: Stage, own: Mapping[Text, Stage], settings: Settings) -> Stage:
    """Fit all heads, and choose which doubt to ship, by documents held back from that.

    Args:
        work: where the stage is kept.
        documents: rows of corpus documents to train on.
        own: rows of the target's own text to train on; those that are drawn as the text was are chosen by.
        settings: of the run.

    Returns:
        The stage, with `verifier.onnx`, the heads it is compared with, and `heads.json`.
    """

    def make(directory: Path) -> None:
        stages = [documents, *own.values()]
        numbers = [read_numbers(stage) for stage in stages]
        held = hold_documents(numbers, settings.seed)
        count = sum(int((~np.isin(part, held)).sum()) for part in numbers)
        alike = []

        def fitted_to() -> Iterator[Rows]:
            for stage, text in zip(stages, (None, *own), strict=True):
                rows = read_rows(stage)
                is_held = np.isin(rows.document, held)
                if text is not None:
                    alike.append(drawn_alike(rows.where(is_held), text))
                yield rows.where(~is_held)

        joined = Rows.gather(fitted_to(), count)
        trained, loss = fit(joined, FitSettings(seed=settings.seed))
        others = fit_comparison_heads(joined, settings.seed)
        free = {
            name: scalar_head(joined, NAMES.index(feature), sign, trained) for name, (feature, sign) in FREE.items()
        }
        shipped, choices = choose({TRAINED: trained} | others | free, alike)
        shipped.export(directory / VERIFIER)
        if shipped is not trained:
            others[TRAINED] = trained
        files = {name: f"other-{number}.onnx" for number, name in enumerate(others)}
        for name, file in files.items():
            others[name].export(directory / file)
        found = {"rows": len(joined), "loss": loss, "others": files, "chosen": [asdict(choice) for choice in choices]}
        (directory / "heads.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    key = {"seed": settings.seed, "code": code(verifier, doubts, scalar, choice, head)}
    return work.stage("heads", key, make, [documents, *own.values()])


def drawn_alike(rows: Rows, text: Text) -> Rows:
    """Those of the rows that are drawn in the way in which the target wrote their text."""
    sampling = text.sampling
    return rows.where(
        (rows.temperature == np.float32(sampling.temperature)) & (rows.top_p == np.float32(sampling.top_p))
    )


def read_heads(stage: Stage) -> tuple[ExportedHead, dict[str, ExportedHead], dict]:
    """The verifier, the heads it is compared with by their names, and what `heads.json` says of the fit."""
    found = json.loads((stage / "heads.json").read_text(encoding="utf-8"))
    others = {name: ExportedHead(stage / file) for name, file in found["others"].items()}
    return ExportedHead(stage / VERIFIER), others, found
