"""Drawing a token from the draft's best candidates, with the noise that the target uses too.

The draft's graph already keeps only its `K` likeliest tokens, best first, so `q` lives on a handful of them: every
list here has at most `K` entries. Survivors of top-k and top-p are a prefix of that order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shared import noise
from shared.config import Sampling

# Stands for "no second survivor": the draft's choice could not have been closer.
MARGIN_LIMIT = 10.0
_FEW = 16
_CERTAIN = [0.0]  # ln q where one token survives


@dataclass(slots=True)
class Draw:
    """One draw from q, and what it tells about how sure the draft was.

    Attributes:
        token: the drawn id, x.
        index: its rank among the candidates, 0 for the likeliest.
        survivors: how many candidates survived top-k and top-p.
        log_q: ln q(x), after temperature and truncation, nats.
        noisy_margin: gap between the best and the second best of log q + g, at most `MARGIN_LIMIT`.
        distribution: ids and probabilities of q, ``int64 [survivors]`` and ``float64 [survivors]``.
    """

    token: int
    index: int
    survivors: int
    log_q: float
    noisy_margin: float
    _ids: np.ndarray
    _log_q: list[float]

    @property
    def distribution(self) -> tuple[np.ndarray, np.ndarray]:
        # The candidates are a view of memory that the next step overwrites.
        return self._ids[: self.survivors].copy(), np.exp(self._log_q)


class Sampler:
    """Draws x = argmax log q + g from candidates (coupled sampling: Daliri, Musco, Suresh, arXiv 2408.07978)."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._inverse = 1.0 / sampling.temperature if sampling.temperature else 0.0
        # At temperatures up to 1 the likeliest token's share only grows, so above this ln p it survives alone.
        self._certain = math.log(sampling.top_p) + 1e-6 if sampling.temperature <= 1 else math.inf

    def draw(self, ids: np.ndarray, logits: np.ndarray, position: int, log_normaliser: float = math.inf) -> Draw:
        """Draw the token for `position`.

        Args:
            ids: candidates, best first, ``int64 [K]``.
            logits: their raw logits, descending, ``float32 [K]``.
            position: of the token to be drawn, in the whole sequence.
            log_normaliser: log-sum-exp of all raw logits, if known; it changes nothing but the time this takes.
        """
        if not self._inverse:
            margin = min(float(logits[0] - logits[1]), MARGIN_LIMIT) if len(logits) > 1 else MARGIN_LIMIT
            return Draw(int(ids[0]), 0, 1, 0.0, margin, ids, _CERTAIN)
        if logits.item(0) - log_normaliser > self._certain:
            return Draw(int(ids[0]), 0, 1, 0.0, MARGIN_LIMIT, ids, _CERTAIN)
        # Plain floats, not arrays: after a model has run, its weights have pushed NumPy's code out of the cache, and a
        # dozen small calls cost more than these loops.
        first = logits.item(0)
        scaled = [(logit - first) * self._inverse for logit in logits[: self.sampling.top_k or None].tolist()]
        weights = [math.exp(value) for value in scaled]
        mass = sum(weights)
        if self.sampling.top_p < 1.0:
            enough, mass, survivors = self.sampling.top_p * mass, 0.0, 0
            for weight in weights:
                mass += weight
                survivors += 1
                if mass >= enough:
                    break
            del scaled[survivors:]
        survivors, log_mass = len(scaled), math.log(mass)
        log_q = [value - log_mass for value in scaled]
        if survivors == 1:
            return Draw(int(ids[0]), 0, 1, 0.0, MARGIN_LIMIT, ids, log_q)
        key = noise.key(self.sampling.seed, position)
        if survivors <= _FEW:
            g = [noise.gumbel_of(key, token) for token in ids[:survivors].tolist()]
        else:
            g = noise.gumbel(key, ids[:survivors]).tolist()
        score = [a + b for a, b in zip(log_q, g, strict=True)]
        top = max(score)
        best = score.index(top)
        score[best] = -math.inf
        return Draw(int(ids[best]), best, survivors, log_q[best], min(top - max(score), MARGIN_LIMIT), ids, log_q)
