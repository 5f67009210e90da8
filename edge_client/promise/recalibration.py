"""What a doubt is worth on this device: the verifier's odds of an error, corrected by every audit.

A verifier is honest about the kind of text that it was fitted to. On another kind, or with another target, its doubts
are off by a factor, and a few dozen audited tokens show it. So the log-odds l of a doubt are read as

    log-odds of an error = slope l + shift + caution u        u: how unlike the calibrated text this one is worded

This is Bayesian logistic regression with a Gaussian prior around the doubt as it stands. Each call adds what it audited
as evidence, by one Newton step (Laplace's approximation); old evidence fades. It is about the doubts alone, so budgets,
temperatures and runs share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INPUTS = 3
# Evidence fades to a third over so many audited tokens: a device's texts change.
MEMORY = 4000
# A larger doubt is never read as a smaller chance of an error.
LEAST_SLOPE = 0.25


@dataclass(frozen=True)
class Prior:
    """What is believed before any audit: mean and standard deviation of slope, shift and caution."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


# The verifier was calibrated for this target: its doubts are honest about the kind of text that it knows, and too small
# by a factor of about two for each byte that a token stands for less, or more, than is usual there.
CALIBRATED = Prior((1.0, 0.0, 0.7), (0.15, 0.5, 0.5))
# It was made for another target, another draft, or for none: errors are taken to be four times as likely as it says.
UNKNOWN = Prior((1.0, 1.5, 0.7), (0.3, 1.5, 0.5))


@dataclass(frozen=True)
class Evidence:
    """What audits have said about doubts, in the natural parameters of a Gaussian: those of several texts add up.

    Attributes:
        precision: symmetric, row by row, `INPUTS` squared numbers.
        pull: precision times the mean that the audits alone suggest, `INPUTS` numbers.
    """

    precision: tuple[float, ...] = (0.0,) * INPUTS**2
    pull: tuple[float, ...] = (0.0,) * INPUTS

    def then(self, later: Evidence, tokens: int) -> Evidence:
        """With that of `tokens` later tokens; what is older fades."""
        kept = _kept(tokens)
        return Evidence(
            tuple(kept * old + new for old, new in zip(self.precision, later.precision, strict=True)),
            tuple(kept * old + new for old, new in zip(self.pull, later.pull, strict=True)),
        )


class Recalibration:
    """The correction while one text is written.

    Args:
        prior: before any audit.
        known: what earlier texts have shown.

    Attributes:
        slope, shift, caution: the correction now.
    """

    def __init__(self, prior: Prior, known: Evidence) -> None:
        precision = np.diag(np.array(prior.deviation) ** -2.0)
        self._prior = precision, precision @ np.array(prior.mean)
        self._known = np.array(known.precision).reshape(INPUTS, INPUTS), np.array(known.pull)
        self._taught = np.zeros((INPUTS, INPUTS)), np.zeros(INPUTS)
        self._settle()

    @property
    def taught(self) -> Evidence:
        """What this text alone has shown."""
        precision, pull = self._taught
        return Evidence(tuple(precision.ravel().tolist()), tuple(pull.tolist()))

    def offset(self, unlike: float) -> float:
        """What is added to a doubt's log-odds, times the slope, in a text that is so unlike the calibrated ones."""
        return self.shift + self.caution * unlike

    def learn(self, log_odds: np.ndarray, is_error: np.ndarray, unlike: float) -> None:
        """Learn from audited doubts.

        Args:
            log_odds: of each doubt, ``float64 [n]``.
            is_error: what became of it, ``bool [n]``.
            unlike: of the text that they are about.
        """
        x = np.stack((log_odds, np.ones_like(log_odds), np.full_like(log_odds, unlike)), 1)
        eta = x @ self._mean
        p = 1.0 / (1.0 + np.exp(-eta))
        curvature = p * (1.0 - p)
        for part in (*self._known, *self._taught):
            part *= _kept(len(log_odds))
        precision, pull = self._taught
        precision += (x.T * curvature) @ x
        pull += x.T @ (curvature * eta + is_error - p)
        self._settle()

    def _settle(self) -> None:
        precision, pull = (sum(parts) for parts in zip(self._prior, self._known, self._taught, strict=True))
        self._mean = np.linalg.solve(precision, pull)
        slope, shift, caution = self._mean.tolist()
        self.slope: float = max(slope, LEAST_SLOPE)
        self.shift: float = shift
        self.caution: float = caution


def _kept(tokens: int) -> float:
    return (1.0 - 1.0 / MEMORY) ** tokens
