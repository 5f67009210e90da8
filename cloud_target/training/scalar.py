"""A doubt that needs no training as a head: one feature, and by logistic regression what it is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cloud_target.training.doubts import off_target
from cloud_target.training.label import Rows
from cloud_target.training.verifier import Head
from shared.calibration import DOUBT_COLUMNS

# Where errors and the rest are wholly apart no slope is steep enough: this, of a squared slope, makes an end.
_RIDGE = 1e-4
_STEPS = 100
_LONGEST_STEP = 4.0  # of Newton's, in log-odds
_DONE = 1e-9
_TINY = 1e-12
# Doubts are told apart on a device down to about 1e-6. On text of another kind all of them may be needed, so no more
# than this share of the rows, those that are doubted least, may lie there.
_SUREST = -12.0
_TIED = 0.25


def scalar_head(rows: Rows, feature: int, sign: int, like: Head) -> Head:
    """A linear head that looks at one feature only, so that it asks about the very tokens that the feature picks.

    Args:
        rows: that it is fitted to.
        feature: number of the feature.
        sign: 1 where the doubt grows with it, -1 where it falls. If the rows say the opposite, all tokens are doubted
            alike.
        like: a head whose standardisation it shares.
    """
    x = sign * (rows.features[:, feature].astype(np.float64) - like.mean[feature]) / like.std[feature]
    weights, offsets = np.zeros((len(DOUBT_COLUMNS), rows.features.shape[1])), np.zeros(len(DOUBT_COLUMNS))
    for column, criterion in enumerate(DOUBT_COLUMNS):
        slope, offsets[column] = _logistic(x, off_target(rows, criterion))
        weights[column, feature] = sign * slope
    return replace(like, w1=None, b1=None, w2=weights.astype(np.float32), b2=offsets.astype(np.float32))


def _logistic(x: np.ndarray, off: np.ndarray) -> tuple[float, float]:
    """Slope, at least 0, and offset of the log-odds of errors along x; all ``[N]``."""
    base = np.log((off.sum() + 1) / ((~off).sum() + 1))
    slope, offset = _newton(np.stack((x, np.ones_like(x)), 1), 0.0, off, np.array([0.0, base]))
    if slope <= 0:
        return 0.0, float(base)
    sure = np.quantile(x, _TIED)
    if offset + slope * sure < _SUREST:  # the best that keeps this is as sure as it may be, for all is convex
        slope = _newton((x - sure)[:, None], _SUREST, off, np.zeros(1))[0]
        offset = _SUREST - slope * sure
    return float(slope), float(offset)


def _newton(inputs: np.ndarray, offset: float, off: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression on ``[N, n]`` inputs, beside an offset that is given."""
    found, ridge = start.copy(), np.array((_RIDGE, 0.0))[: len(start)]
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ found + offset, -500, 500)))
        gradient = inputs.T @ (chance - off) / len(off) + ridge * found
        curvature = (inputs.T * (chance * (1 - chance))) @ inputs / len(off) + np.diag(ridge + _TINY)
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, _LONGEST_STEP / max(_TINY, np.abs(step).max()))
        found -= step
        if np.abs(step).max() < _DONE:
            break
    return found
