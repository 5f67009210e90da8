"""Learning on the device: audits are labelled examples, and a small correction of the shipped head learns from them.

    doubt' = sigmoid(logit(doubt) + w · phi)        phi: a constant, the shipped doubt, the scalars of the features

Logistic regression with AdaGrad steps (Duchi, Hazan, Singer, 2011), one audited token at a time. Every token is
predicted before it is learned from, so the two running losses are held-out ones: the correction is used only while they
say that it is better than the shipped head, and forgotten when they say that it is clearly worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shared.features import SCALARS

INPUTS = SCALARS + 2
RATE = 0.05
# The head may be moved by so much in log-odds.
MOST = 8.0
# No weight goes beyond this.
MOST_WEIGHT = 4.0
# Losses are compared over about so many tokens.
WINDOW = 2000
# A good past counts for so many nats at most.
BETTER = 10.0
# The correction is forgotten when it is so many nats worse.
WORSE = 5.0
# It comes into use when it is so many nats better, and goes out of use when it is no better any more.
PROVEN = 2.0
_EDGE = 1e-4


@dataclass(frozen=True)
class Correction:
    """What has been learned, enough to go on later.

    Attributes:
        weights, squares: w, and the sums of squared gradients, `INPUTS` numbers each.
        advantage: by how much the correction's loss over the last tokens is below the shipped head's, nats in all.
        tokens: audited tokens that it has learned from.
        reverted: how often it was forgotten.
        in_use: whether held-out audits have proven it.
    """

    weights: tuple[float, ...] = (0.0,) * INPUTS
    squares: tuple[float, ...] = (1.0,) * INPUTS
    advantage: float = 0.0
    tokens: int = 0
    reverted: int = 0
    in_use: bool = False


class Learner:
    """Corrects doubts, and learns from audits; for one criterion.

    Attributes:
        in_use: whether held-out audits say that the correction is better than the shipped head.
    """

    def __init__(self, correction: Correction | None = None) -> None:
        known = correction or Correction()
        self._w = np.clip(np.array(known.weights), -MOST_WEIGHT, MOST_WEIGHT)
        self._squares = np.array(known.squares)
        self._advantage, self._tokens, self._reverted = known.advantage, known.tokens, known.reverted
        self.in_use = known.in_use

    @property
    def correction(self) -> Correction:
        """What has been learned so far."""
        weights, squares = tuple(self._w.tolist()), tuple(self._squares.tolist())
        return Correction(weights, squares, self._advantage, self._tokens, self._reverted, self.in_use)

    def correct(self, scalars: np.ndarray, doubt: float) -> tuple[float, np.ndarray]:
        """The doubt to use for a token, and what it was made of, to be given back to `audited`.

        Args:
            scalars: the first features of the token, ``float32 [SCALARS]``.
            doubt: the shipped head's.
        """
        phi = np.empty(INPUTS)
        phi[0] = 1.0
        phi[1] = _log_odds(doubt)
        phi[2:] = scalars
        phi[1:] *= 0.25  # most are a few nats
        return self.again(phi, doubt), phi

    def again(self, phi: np.ndarray, doubt: float) -> float:
        """The doubt to use by now for a token that was corrected before, and whose shipped doubt is `doubt`."""
        return _sigmoid(4.0 * phi.item(1) + self._move(phi)) if self.in_use else doubt

    def audited(self, phi: np.ndarray, is_off: bool) -> None:
        """Learn whether a token whose doubt was corrected was off-target."""
        shipped = 4.0 * phi.item(1)
        learned = shipped + self._move(phi)
        gain = _loss(shipped, is_off) - _loss(learned, is_off)
        self._advantage = min(self._advantage * (1 - 1 / WINDOW) + gain, BETTER)
        self.in_use = self._advantage > (0.0 if self.in_use else PROVEN)
        self._tokens += 1
        if self._advantage < -WORSE:
            self._w[:], self._squares[:], self._advantage = 0.0, 1.0, 0.0
            self._reverted += 1
            return
        gradient = (_sigmoid(learned) - is_off) * phi
        self._squares += gradient * gradient
        self._w -= RATE * gradient / np.sqrt(self._squares)
        np.clip(self._w, -MOST_WEIGHT, MOST_WEIGHT, out=self._w)

    def _move(self, phi: np.ndarray) -> float:
        return min(max(float(self._w @ phi), -MOST), MOST)


def _log_odds(doubt: float) -> float:
    doubt = min(max(doubt, _EDGE), 1 - _EDGE)
    return math.log(doubt / (1 - doubt))


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))


def _loss(log_odds: float, is_off: bool) -> float:
    """Negative log-likelihood of one label, nats."""
    return math.log1p(math.exp(-log_odds if is_off else log_odds))
