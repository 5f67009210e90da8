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
    """Slope, at least 0, and offset of the log-odds of errors along x, by Newton's method; all ``[N]``.

    One error and one other token are believed beside those that were counted, so that no count is a certainty.
    """
    base = float(np.log((off.sum() + 1) / ((~off).sum() + 1)))
    found = np.array([0.0, base])
    inputs = np.stack((x, np.ones_like(x)), 1)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ found, -500, 500)))
        gradient = inputs.T @ (chance - off) / len(x) + _RIDGE * found * (1, 0)
        curvature = (inputs.T * (chance * (1 - chance))) @ inputs / len(x) + np.diag((_RIDGE, 1e-12))
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, _LONGEST_STEP / max(1e-300, np.abs(step).max()))
        found -= step
        if np.abs(step).max() < _DONE:
            break
    return (float(found[0]), float(found[1])) if found[0] > 0 else (0.0, base)
