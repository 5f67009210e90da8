"""From a budget to a threshold, on held-out documents (design: the quality budget).

With threshold theta the edge asks iff doubt > theta. The divergence rate is the share of all tokens that are accepted
and off-target. The threshold of a budget is the largest whose divergence rate stays within it, and whose one-sided
upper confidence bound, by resampling documents, does so too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cloud_target.training.doubts import off_target
from cloud_target.training.label import Rows
from cloud_target.training.verifier import Head
from shared.bundle import DOUBT_COLUMNS, Calibration
from shared.config import Criterion

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.10)
CONFIDENCE = 0.9
RESAMPLES = 400
_GRID = 1000


@dataclass(frozen=True)
class Curve:
    """Counts of each document at each candidate threshold.

    Attributes:
        thresholds: ascending, ``float64 [G]``; the first asks about everything, the last about nothing.
        errors: tokens accepted although off-target, ``int64 [documents, G]``.
        accepted: tokens accepted, ``int64 [documents, G]``.
        tokens: ``int64 [documents]``.
    """

    thresholds: np.ndarray
    errors: np.ndarray
    accepted: np.ndarray
    tokens: np.ndarray

    @classmethod
    def of(cls, doubt: np.ndarray, off: np.ndarray, document: np.ndarray) -> Curve:
        """The curve of rows with their doubt (float), errors (bool) and documents (int), all ``[N]``."""
        inner = np.unique(np.quantile(doubt.astype(np.float64), np.linspace(0, 1, _GRID)))
        thresholds = np.concatenate(([0.0], inner[inner > 0], [1.0]))
        _, number = np.unique(document, return_inverse=True)
        count = number.max() + 1
        # Accepted iff doubt <= threshold: a token counts from the first threshold that reaches its doubt.
        place = np.searchsorted(thresholds, doubt.astype(np.float64), side="left")
        accepted = np.zeros((count, len(thresholds)), np.int64)
        errors = np.zeros_like(accepted)
        np.add.at(accepted, (number, place), 1)
        np.add.at(errors, (number, place), off.astype(np.int64))
        return cls(thresholds, errors.cumsum(1), accepted.cumsum(1), np.bincount(number, minlength=count))

    @property
    def divergence(self) -> np.ndarray:
        """Divergence rate at each threshold, ``float64 [G]``."""
        return self.errors.sum(0) / self.tokens.sum()

    @property
    def ask_rate(self) -> np.ndarray:
        """Share of tokens asked at each threshold, ``float64 [G]``."""
        return 1 - self.accepted.sum(0) / self.tokens.sum()

    def upper_divergence(self, seed: int = 0) -> np.ndarray:
        """Upper bound of the divergence rate with `CONFIDENCE`, by bootstrap over documents, ``float64 [G]``."""
        count = len(self.tokens)
        weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        rates = (weights @ self.errors) / (weights @ self.tokens)[:, None]
        return np.maximum(np.quantile(rates, CONFIDENCE, axis=0), self.divergence)

    def choose(self, budget: float) -> int:
        """Index of the largest threshold whose upper divergence rate stays within the budget."""
        return int(np.flatnonzero(self.upper_divergence() <= budget)[-1])


def calibrate(
    head: Head, rows: Rows, criterion: Criterion, temperature: float, top_p: float, budgets: Sequence[float] = BUDGETS
) -> list[Calibration]:
    """The cells of the table for one criterion and one way of sampling, all of `rows` being sampled so."""
    doubt = head.doubt(rows.features)[:, DOUBT_COLUMNS.index(criterion)]
    curve = Curve.of(doubt, off_target(rows, criterion), rows.document)
    cells = []
    for budget in budgets:
        chosen = curve.choose(budget)
        cells.append(
            Calibration(
                criterion=criterion,
                temperature=temperature,
                top_p=top_p,
                budget=budget,
                threshold=float(curve.thresholds[chosen]),
                divergence=float(curve.divergence[chosen]),
                ask_rate=float(curve.ask_rate[chosen]),
                tokens=int(curve.tokens.sum()),
            )
        )
    return cells


def check(
    head: Head, rows: Rows, criterion: Criterion, budgets: Sequence[float] = BUDGETS, seed: int = 0
) -> list[dict[str, float]]:
    """Thresholds on documents that they were not chosen on: two halves, each judged by the other's thresholds."""
    doubt = head.doubt(rows.features)[:, DOUBT_COLUMNS.index(criterion)]
    off = off_target(rows, criterion)
    documents = np.random.default_rng(seed).permutation(np.unique(rows.document))
    first = np.isin(rows.document, documents[: len(documents) // 2])
    results = []
    for budget in budgets:
        errors = asked = 0
        for chosen_on, judged_on in ((first, ~first), (~first, first)):
            curve = Curve.of(doubt[chosen_on], off[chosen_on], rows.document[chosen_on])
            threshold = curve.thresholds[curve.choose(budget)]
            asks = doubt[judged_on] > threshold
            errors += int((off[judged_on] & ~asks).sum())
            asked += int(asks.sum())
        results.append({"budget": budget, "divergence": errors / len(off), "ask_rate": asked / len(off)})
    return results


def write_calibration(path: str | Path, cells: Sequence[Calibration]) -> None:
    """The table as JSON, in the form in which the manifest keeps it."""
    Path(path).write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n", encoding="utf-8")
