"""From a budget to a threshold, on held-out documents.

With threshold theta the edge asks iff doubt > theta. The divergence rate is the share of all tokens that are accepted
and off-target. The threshold of a budget is the largest one up to which two upper bounds stay within it:

- conformal risk control (Angelopoulos et al., arXiv 2208.02814): with n documents of mean divergence rate R, a new
  document of the same kind is expected to diverge in at most (n R + 1) / (n + 1) of its tokens, whatever the
  distribution;
- the divergence rate of all tokens, resampled by document, is below the bound with confidence `CONFIDENCE`, about:
  a percentile bootstrap covers less where a handful of documents hold nearly all errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from cloud_target.training.doubts import doubt_of, off_target
from cloud_target.training.label import Rows
from cloud_target.training.verifier import Doubter
from shared.config import Criterion
from shared.features import NAMES
from shared.manifest import SPREAD, Calibration, Doubts, Familiar, Wording
from shared.tokenizer import bytes_per_token

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.10)
CONFIDENCE = 0.9
RESAMPLES = 400
WINDOW = 64  # tokens of a text that are enough to tell
OPENING = 24  # tokens of a prompt that are enough to tell
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
        """The larger of the two upper bounds on the divergence rate at each threshold, ``float64 [G]``."""
        count = len(self.tokens)
        weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        resampled = (weights @ self.errors) / (weights @ self.tokens)[:, None]
        confident = np.maximum(np.quantile(resampled, CONFIDENCE, axis=0), self.divergence)
        conformal = ((self.errors / self.tokens[:, None]).sum(0) + 1) / (count + 1)
        # Where every token is asked there are no errors, and nothing is left to chance.
        return np.where(self.accepted.sum(0) > 0, np.maximum(confident, conformal), 0.0)

    def choose(self, budget: float) -> int:
        """Index of the largest threshold up to which the upper bound stays within the budget; 0 if there is none."""
        too_much = np.flatnonzero(self.upper_divergence() > budget)
        return max(int(too_much[0]) - 1, 0) if len(too_much) else len(self.thresholds) - 1


def calibrate(
    head: Doubter,
    rows: Rows,
    criterion: Criterion,
    temperature: float,
    top_p: float,
    budgets: Sequence[float] = BUDGETS,
) -> list[Calibration]:
    """The cells of the table for one criterion and one way of sampling, all of `rows` being sampled so."""
    doubt = doubt_of(criterion, head.doubt(rows.features), rows)
    curve = Curve.of(doubt, off_target(rows, criterion), rows.document)
    upper = curve.upper_divergence()
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
                documents=len(curve.tokens),
                upper=float(upper[chosen]),
                confidence=CONFIDENCE,
            )
        )
    return cells


def doubts(head: Doubter, rows: Rows, criterion: Criterion, temperature: float, top_p: float) -> Doubts:
    """What the head's doubts are like in these texts, all of `rows` being sampled so."""
    doubt = doubt_of(criterion, head.doubt(rows.features), rows).astype(np.float64).clip(1e-6, 1 - 1e-6)
    quantiles = np.quantile(np.log(doubt / (1 - doubt)), (np.arange(SPREAD) + 0.5) / SPREAD)
    return Doubts(criterion, temperature, top_p, [round(value, 3) for value in quantiles.tolist()])


def familiar(rows: Rows, temperature: float, top_p: float) -> Familiar:
    """How these texts look to the draft, all of `rows` being sampled so: its mean entropy over windows of a text."""
    window = int(min(WINDOW, np.bincount(np.unique(rows.document, return_inverse=True)[1]).max()))
    entropy = rows.features[:, NAMES.index("entropy")].astype(np.float64)
    means = []
    for document in np.unique(rows.document):
        of_one = entropy[rows.document == document]
        means += [of_one[i : i + window].mean() for i in range(0, len(of_one) - window + 1, window)]
    low, high = np.quantile(means, (0.005, 0.995))
    return Familiar(temperature, top_p, window, float(low), float(high))


def wording(tokenizer: Tokenizer, documents: Sequence[np.ndarray]) -> Wording:
    """How these documents are worded: bytes per token over windows of their tokens."""
    window = min(OPENING, max(map(len, documents)))
    means = [
        bytes_per_token(tokenizer, document[i : i + window].tolist())
        for document in documents
        for i in range(0, len(document) - window + 1, window)
    ]
    low, high = np.quantile(means, (0.005, 0.995))
    return Wording(window, float(low), float(high))
