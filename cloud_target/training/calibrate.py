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
from shared.calibration import SPREAD, Calibration, Doubts, Familiar, Wording
from shared.config import Criterion
from shared.features import NAMES
from shared.steering.budget import log_odds
from shared.steering.recalibration import chance
from shared.tokenizer import bytes_per_token

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.10)
CONFIDENCE = 0.9
RESAMPLES = 400
WINDOW = 64  # tokens of a text that are enough to tell
OPENING = 24  # tokens of a prompt that are enough to tell
_GRID = 1000
# Where more doubt has no more errors behind it, log-odds still rise by so much from one quantile to the next.
_LEAST_RISE = 0.001


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
    """What the head's doubts are like in these texts, and what is behind them, all of `rows` being sampled so."""
    doubt = log_odds(doubt_of(criterion, head.doubt(rows.features), rows).tolist())
    quantiles = np.quantile(doubt, (np.arange(SPREAD) + 0.5) / SPREAD).round(3)
    errors = errors_behind(quantiles, off_target(rows, criterion)[np.argsort(doubt, kind="stable")])
    return Doubts(criterion, temperature, top_p, quantiles.tolist(), errors.tolist())


def errors_behind(quantiles: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The log-odds of an error at quantiles of the doubts, by counting; they rise where the quantiles do.

    Isotonic regression over as many groups of tokens of equal size. In each, one error more is believed than was
    counted, in as many tokens as the doubt expects one in, but for no more than there are: where errors are rare, the
    verifier knows more than a count of none.

    Args:
        quantiles: log-odds in the middle of each group, ascending, ``float64 [n]``.
        off: which tokens are errors, ascending by doubt, ``bool [N]``.
    """
    doubts, place = np.unique(quantiles, return_inverse=True)
    groups = np.array_split(off, len(quantiles))
    tokens, found = (np.bincount(place, [fold(group) for group in groups]) for fold in (len, np.sum))
    more = np.minimum(1.0 / chance(doubts), np.maximum(tokens, 2))
    rates = _isotonic((found + 1) / (tokens + more), tokens + more)
    rising = np.log(rates / (1 - rates)) + _LEAST_RISE * np.arange(len(rates))
    return rising[place].round(3)


def _isotonic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The ascending numbers that lie nearest to these, ``float64 [n]`` (Ayer et al., 1955, the min-max formula)."""
    weight, total = (np.append(0.0, x.cumsum()) for x in (weights, weights * values))
    first, last = np.indices((len(values), len(values)))
    spans = np.where(first <= last, weight[last + 1] - weight[first], 1.0)
    means = np.where(first <= last, (total[last + 1] - total[first]) / spans, np.inf)
    # Of all spans from `first` that reach this place or go beyond it, the least; then the greatest of those.
    least = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
    found: np.ndarray = np.where(first <= last, least, -np.inf).max(0)
    return found


def familiar(rows: Rows, temperature: float, top_p: float) -> Familiar:
    """How these texts look to the draft, all of `rows` being sampled so: its mean entropy over windows of a text."""
    window = int(min(WINDOW, np.bincount(np.unique(rows.document, return_inverse=True)[1]).max()))
    entropy = rows.features[:, NAMES.index("entropy")].astype(np.float64)
    means = []
    for document in np.unique(rows.document):
        of_one = entropy[rows.document == document]
        means += [of_one[i : i + window].mean() for i in range(0, len(of_one) - window + 1, window)]
    low, high = np.quantile(means, (0.005, 0.995))
    parted = rows.token != rows.own
    rivals = (
        [float((choice == rows.own)[parted].mean()) for choice in (rows.second, rows.third)] if parted.any() else None
    )
    return Familiar(temperature, top_p, window, float(low), float(high), rivals)


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
