"""The verifier of a bundle is the best doubt for its rows, whichever that is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloud_target.prepare.heads import TRAINED, VERIFIER, ExportedHead, fit_heads, read_heads
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.texts import TEXTS
from cloud_target.training.choice import hold_documents
from cloud_target.training.doubts import FREE, ask_rate, off_target
from cloud_target.training.label import Rows
from cloud_target.training.work import Stage, Work
from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion
from shared.features import NAMES, SCALARS
from shared.sampling import MARGIN_LIMIT
from tests.cloud_target.training.made_up import made_up_rows

pytestmark = pytest.mark.slow

MARGIN = NAMES.index("noisy_margin")
TEXT = next(text for text in TEXTS if text.split == "train" and text.sampling.temperature == 0.7)
NOISY = "noisy margin"


def rows_of(strict: str, typical: str, seed: int = 0) -> Rows:
    """Errors by each criterion where the noisy margin is small ("free"), or as two hidden features say ("hidden")."""
    rows = made_up_rows(60, 100, seed)
    random = np.random.default_rng(seed)
    features = rows.features.copy()
    # Errors are where the margin is a hundredth of what it is elsewhere: too near to each other for a head of its size.
    features[:, MARGIN] = np.minimum(np.exp(random.normal(1, 2.0, len(rows))), MARGIN_LIMIT)
    close = features[:, MARGIN] < np.quantile(features[:, MARGIN], 0.04)
    far = features[:, SCALARS : SCALARS + 2].sum(1) > 2.2
    off = {"free": close, "hidden": far}
    return replace(rows, features=features, off_strict=off[strict] | off[typical], off_typical=off[typical])


def fitted(directory: Path, rows: Rows) -> Stage:
    """The stage of heads, of the rows as the target's own text; the documents as they stand are the same rows."""
    settings = Settings("target", "draft", (), directory / "bundle")

    def save(place: Path) -> None:
        rows.save(place / "rows.npz")
        np.save(place / "sources.npy", np.arange(rows.document.max() + 1))

    with Work.open(directory / "work", 1, lambda _: None) as work:
        stage = work.stage("rows", {"seed": 0}, save)
        return fit_heads(work, stage, {TEXT: stage}, settings)


def chosen(stage: Stage) -> dict[str, dict[str, Any]]:
    return {choice["criterion"]: choice for choice in json.loads((stage / "heads.json").read_text())["chosen"]}


def doubts(head: ExportedHead, rows: Rows) -> np.ndarray:
    return head.doubt(rows.features)


@pytest.mark.parametrize(("strict", "typical"), [("free", "free"), ("hidden", "hidden"), ("free", "hidden")])
def test_the_better_doubt_of_each_criterion_is_shipped(tmp_path: Path, strict: str, typical: str) -> None:
    stage = fitted(tmp_path, rows_of(strict, typical))
    verifier, others, _ = read_heads(stage)
    fresh = rows_of(strict, typical, seed=9)
    for column, criterion in enumerate(DOUBT_COLUMNS):
        choice = chosen(stage)[criterion]
        doubt = doubts(verifier, fresh)[:, column]
        if (strict, typical) == ("free", "free"):
            assert choice["name"] == NOISY
            order = np.argsort(-fresh.features[:, MARGIN])
            assert (np.diff(doubt[order]) > -1e-6).all()  # onnxruntime rounds so
        elif criterion is Criterion.TYPICAL or strict == "hidden":
            assert choice["name"] not in FREE
        if choice["name"] in others:
            expected = doubts(others[choice["name"]], fresh)[:, column]
            np.testing.assert_allclose(doubt, expected, rtol=1e-3, atol=1e-6)
        rate = off_target(fresh, criterion).mean()
        if len({strict, typical}) == 1:
            assert ask_rate(doubt, off_target(fresh, criterion), rate / 4) < 0.5  # by chance it were 0.75
    names = {choice["name"] for choice in chosen(stage).values()}
    assert (TRAINED in others) == (names != {TRAINED})


def test_what_is_chosen_by_is_not_trained_on(tmp_path: Path) -> None:
    """Other labels in the documents that were held back change the choice, and no head."""
    rows = rows_of("free", "free")
    held = np.isin(rows.document, hold_documents([rows.document], Settings("", "", (), tmp_path).seed))
    off = np.where(held, rows.features[:, SCALARS] > 1, rows.off_strict)
    stages = [fitted(tmp_path / "as it is", rows)]
    stages.append(fitted(tmp_path / "changed", replace(rows, off_strict=off, off_typical=off)))
    (_, first, _), (_, second, _) = map(read_heads, stages)
    fresh = rows_of("free", "free", seed=9)
    assert first.keys() | {TRAINED} == second.keys() | {TRAINED}
    for name in first.keys() & second.keys():
        np.testing.assert_array_equal(doubts(first[name], fresh), doubts(second[name], fresh))
    one, other = map(chosen, stages)
    assert one[Criterion.STRICT]["asks"] != other[Criterion.STRICT]["asks"]
    assert one[Criterion.STRICT]["documents"] == len(np.unique(rows.document[held]))
    assert one[Criterion.STRICT]["tokens"] == held.sum()


def test_only_text_that_is_drawn_as_it_was_written_is_chosen_by(tmp_path: Path) -> None:
    rows = rows_of("free", "free")
    half = np.arange(len(rows)) % 2 == 0
    mixed = replace(rows, temperature=np.where(half, rows.temperature, 1).astype(np.float32))
    stage = fitted(tmp_path, mixed)
    held = np.isin(rows.document, hold_documents([rows.document], 0))
    assert chosen(stage)["strict"]["tokens"] == (held & half).sum()
    assert (stage / VERIFIER).exists()
