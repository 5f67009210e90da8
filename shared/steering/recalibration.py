"""What a doubt is worth on this device: the verifier's odds of an error, corrected by every audit.

What was counted behind doubts (`usual.py`) holds for that kind of text. On another kind, or with another target, they
are off by a factor, and a few dozen audited tokens show it. So the log-odds l that a doubt is worth are read as

    log-odds of an error = slope l + shift + caution u        u: how unlike the calibrated text this one is worded

This is Bayesian logistic regression with a Gaussian prior around the doubt as it stands. Each call adds what it audited
as evidence, by one Newton step (Laplace's approximation); old evidence fades. It is about the doubts alone, so budgets,
temperatures and runs share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INPUTS = 3
# Evidence fades to a third over so many audited doubts: a device's texts change.
MEMORY = 4000
# A larger doubt is never read as a smaller chance of an error.
LEAST_SLOPE = 0.25
# What is surer than this is sure.
MOST_LOG_ODDS = 30.0


@dataclass(frozen=True)
class Prior:
    """What is believed before any audit: mean and standard deviation of slope, shift and caution."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


# The verifier was calibrated for this target: its doubts are honest about the kind of text that it knows, and too small
# by a factor of two or three for each byte that a token stands for less, or more, than is usual there. That is believed
# longer than the rest: kinds differ, and audits of an easy one must not make a hard one careless.
CALIBRATED = Prior((1.0, 0.0, 0.9), (0.25, 0.5, 0.25))
# It was made for another target, another draft, or for none: errors are taken to be four times as likely as it says.
UNKNOWN = Prior((1.0, 1.5, 0.9), (0.3, 1.5, 0.25))


@dataclass(frozen=True)
class Evidence:
    """What audits have said about doubts, in the natural parameters of a Gaussian: that of several texts adds up.

    Attributes:
        precision: symmetric, row by row, `INPUTS` squared numbers.
        pull: precision times the mean that the audits alone suggest, `INPUTS` numbers.
        doubts: how many were audited.
    """

    precision: tuple[float, ...] = (0.0,) * INPUTS**2
    pull: tuple[float, ...] = (0.0,) * INPUTS
    doubts: int = 0

    def then(self, later: Evidence) -> Evidence:
        """With later evidence, beside which this one fades."""
        kept = _kept(later.doubts)
        return Evidence(
            tuple(kept * old + new for old, new in zip(self.precision, later.precision, strict=True)),
            tuple(kept * old + new for old, new in zip(self.pull, later.pull, strict=True)),
            self.doubts + later.doubts,
        )


class Recalibration:
    """The correction while one text is written.

    Args:
        prior: before any audit.
        known: what earlier texts have shown.

    Attributes:
        taught: what this text alone has shown.
        slope, shift, caution: the correction now.
    """

    def __init__(self, prior: Prior, known: Evidence) -> None:
        precision = np.diag(np.array(prior.deviation) ** -2.0)
        self._prior = precision, precision @ np.array(prior.mean)
        self._known = np.reshape(known.precision, (INPUTS, INPUTS)), np.array(known.pull)
        self.taught = Evidence()
        self._settle()

    def offset(self, unlike: float) -> float:
        """What is added to a doubt's log-odds, times the slope, in a text that is so unlike the calibrated ones."""
        found: float = self.shift + self.caution * unlike
        return found

    def learn(self, log_odds: np.ndarray, is_error: np.ndarray, unlike: float) -> None:
        """Learn from audited doubts.

        Args:
            log_odds: of each doubt, ``float64 [n]``.
            is_error: what became of it, ``bool [n]``.
            unlike: of the text that they are about.
        """
        x = np.stack((log_odds, np.ones_like(log_odds), np.full_like(log_odds, unlike)), 1)
        eta = x @ (self.slope, self.shift, self.caution)
        p = chance(eta)
        curvature = p * (1.0 - p)
        precision, pull = (x.T * curvature) @ x, x.T @ (curvature * eta + is_error - p)
        self.taught = self.taught.then(Evidence((*precision.ravel().tolist(),), (*pull.tolist(),), len(log_odds)))
        self._settle()

    def _settle(self) -> None:
        kept = _kept(self.taught.doubts)
        precision = self._prior[0] + kept * self._known[0] + np.reshape(self.taught.precision, (INPUTS, INPUTS))
        pull = self._prior[1] + kept * self._known[1] + self.taught.pull
        self.slope, self.shift, self.caution = np.linalg.solve(precision, pull).tolist()
        if self.slope < LEAST_SLOPE:
            # What is likeliest with this slope: a shift found with another one would belie the audits.
            self.slope = LEAST_SLOPE
            rest = np.linalg.solve(precision[1:, 1:], pull[1:] - LEAST_SLOPE * precision[1:, 0])
            self.shift, self.caution = rest.tolist()


def chance(log_odds: np.ndarray) -> np.ndarray:
    """The probabilities with these log-odds, which may be of any size."""
    found: np.ndarray = 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(log_odds, -MOST_LOG_ODDS), MOST_LOG_ODDS)))
    return found


def _kept(doubts: int) -> float:
    return (1.0 - 1.0 / MEMORY) ** doubts
