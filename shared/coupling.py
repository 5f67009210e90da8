"""The residual coupling on one token, the plain way: accept what was drafted, or draw from what it left out."""

from __future__ import annotations

import numpy as np

from shared import noise
from shared.config import Sampling


def judge_residual(x: int, p: np.ndarray, q: tuple[np.ndarray, np.ndarray], sampling: Sampling, position: int) -> int:
    """x with probability min(1, p(x)/q(x)), else a draw from norm(max(0, p - q)): arXiv 2302.01318, algorithm 2.

    Args:
        x: the drafted token.
        p: the target's distribution, ``float64 [vocabulary]``.
        q: the draft's, ids ``int64 [n]`` and probabilities ``float64 [n]``.
        sampling: for the seed.
        position: of x.
    """
    dense = np.zeros_like(p)
    dense[q[0]] = q[1]
    u = noise.uniform(noise.key(sampling.seed, position, noise.ACCEPT), np.array([x]))[0]
    if u * dense[x] < p[x]:
        return x
    excess = np.maximum(p - dense, 0.0)
    ids = np.flatnonzero(excess if excess.any() else p)
    weights = excess[ids] if excess.any() else p[ids]
    g = noise.gumbel(noise.key(sampling.seed, position, noise.RESIDUAL), ids)
    return int(ids[np.argmax(np.log(weights) + g)])
