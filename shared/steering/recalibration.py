"""What a doubt is worth on this device: the verifier's odds of an error, corrected by every audit.

What was counted behind doubts (`usual.py`) holds for that kind of text. On another kind, or with another target, they
are off by a factor, and a few dozen audited tokens show it. So the log-odds l that a doubt is worth are read as

    log-odds of an error = slope l + shift + caution u        u: how unlike the calibrated text this one is worded

This is Bayesian logistic regression with a Gaussian prior around the doubt as it stands, over all audits (`evidence.py`
counts them): after each of them the likeliest of all corrections. To add each audit to a Gaussian where the last one
ended would be less to keep, and would be sure too soon: where n tokens hold no error, the chance of one would sink as
1 / sqrt(n), and it is 1 / n. It is about the doubts alone, so budgets, temperatures and runs share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.steering.evidence import Evidence

INPUTS = 3
# A larger doubt is never read as a smaller chance of an error.
LEAST_SLOPE = 0.25
# What is surer than this is sure.
MOST_LOG_ODDS = 30.0
# Steps until one is as short as this, for behind it the next would be its square; and how often each may be halved.
_MOST_STEPS, _STILL, _MOST_HALVES = 40, 0.01, 40


@dataclass(frozen=True)
class Prior:
    """What is believed before any audit: mean and standard deviation of slope, shift and caution."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


# The verifier was calibrated for this target: its doubts are honest about the kind of text that it knows, and too small
# by a factor of two or three for each byte that a token stands for less, or more, than is usual there. That is believed
# longer than the rest: kinds differ, and audits of an easy one must not make a hard one careless.
CALIBRATED = Prior((1.0, 0.0, 0.9), (0.25, 0.5, 0.25))
# It was made for another target, another draft, or for none: errors are taken to be four times as likely as it says. A
# verifier that was never trained may be off by any factor, so that is believed for some dozen audited tokens only.
UNKNOWN = Prior((1.0, 1.5, 0.9), (0.3, 2.5, 0.25))


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
        self._mean, self._precision = np.array(prior.mean), np.array(prior.deviation) ** -2.0
        self._known = known
        self.taught = Evidence()
        self.slope, self.shift, self.caution = prior.mean
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
        self.taught = self.taught.then(Evidence.of(log_odds, is_error, unlike))
        self._settle()

    def _settle(self) -> None:
        """The likeliest correction, by Newton's method from where the last audit left it."""
        log_odds, unlike, tokens, errors = self._known.then(self.taught).counts
        x = np.stack((log_odds, np.ones_like(log_odds), unlike), 1)

        def unlikeliness(w: np.ndarray) -> float:
            eta = x @ w
            fit = tokens @ np.logaddexp(0.0, eta) - errors @ eta
            return float(fit + self._precision @ (w - self._mean) ** 2 / 2)

        w = np.array((self.slope, self.shift, self.caution))
        value = unlikeliness(w)
        for _ in range(_MOST_STEPS):
            p = chance(x @ w)
            gradient = x.T @ (tokens * p - errors) + self._precision * (w - self._mean)
            curvature = (x.T * (tokens * p * (1.0 - p))) @ x + np.diag(self._precision)
            # Where a slope below the least one would be likelier, the likeliest with the least: a shift that was found
            # with another slope would belie the audits.
            moved = slice(1 if w[0] <= LEAST_SLOPE and gradient[0] > 0 else 0, INPUTS)
            step = np.zeros(INPUTS)
            step[moved] = np.linalg.solve(curvature[moved, moved], gradient[moved])
            # What is to be made small is convex, so it falls if the step is short enough.
            for _ in range(_MOST_HALVES):
                tried = w - step
                tried[0] = max(tried[0], LEAST_SLOPE)
                if (found := unlikeliness(tried)) <= value:
                    break
                step /= 2
            else:
                break
            w, value = tried, found
            if np.abs(step).max() < _STILL:
                break
        self.slope, self.shift, self.caution = w.tolist()


def chance(log_odds: np.ndarray) -> np.ndarray:
    """The probabilities with these log-odds, which may be of any size."""
    found: np.ndarray = 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(log_odds, -MOST_LOG_ODDS), MOST_LOG_ODDS)))
    return found
