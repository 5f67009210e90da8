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
# Of the candidates that did not survive top-p or top-k, so many may be the rival: the target may think otherwise.
OUTSIDERS = 3
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
        noisy_margin: gap between the best and the second best of log q + g among the survivors, at most `MARGIN_LIMIT`.
        rival: rank of the token with the largest log q + g that was not drawn, outsiders among them; `index` where
            there is no other candidate.
        third: rank of the token with the next largest; `rival` where there is none.
        rival_gap: how far the rival lies below x in log q + g, at most `MARGIN_LIMIT`; below 0 for an outsider that
            only truncation kept from being drawn.
        distribution: ids and probabilities of q, ``int64 [survivors]`` and ``float64 [survivors]``.
    """

    token: int
    index: int
    survivors: int
    log_q: float
    noisy_margin: float
    rival: int
    third: int
    rival_gap: float
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
        first = logits.item(0)
        if not self._inverse:
            rival = min(1, len(logits) - 1)
            gap = min(first - logits.item(rival), MARGIN_LIMIT) if rival else MARGIN_LIMIT
            third = min(2, len(logits) - 1)
            return Draw(int(ids[0]), 0, 1, 0.0, gap, rival, third, gap, ids, _CERTAIN)
        # Plain floats, not arrays: after a model has run, its weights have pushed NumPy's code out of the cache, and a
        # dozen small calls cost more than these loops.
        if first - log_normaliser > self._certain:
            scaled = [(logit - first) * self._inverse for logit in logits[: 1 + OUTSIDERS].tolist()]
            return self._drawn(ids, scaled, _CERTAIN, position)
        scaled = [(logit - first) * self._inverse for logit in logits.tolist()]
        survivors = min(self.sampling.top_k or len(scaled), len(scaled))
        weights = [math.exp(value) for value in scaled[:survivors]]
        mass = sum(weights)
        if self.sampling.top_p < 1.0:
            enough, mass, survivors = self.sampling.top_p * mass, 0.0, 0
            for weight in weights:
                mass += weight
                survivors += 1
                if mass >= enough:
                    break
        log_mass = math.log(mass)
        return self._drawn(ids, scaled, [value - log_mass for value in scaled[:survivors]], position)

    def _drawn(self, ids: np.ndarray, scaled: list[float], log_q: list[float], position: int) -> Draw:
        """The draw among the first `len(log_q)` candidates, of logits `scaled` by the temperature."""
        survivors = len(log_q)
        running = min(survivors + OUTSIDERS, len(scaled))
        key = noise.key(self.sampling.seed, position)
        if running <= _FEW:
            g = [noise.gumbel_of(key, token) for token in ids[:running].tolist()]
        else:
            g = noise.gumbel(key, ids[:running]).tolist()
        score = [a + b for a, b in zip(scaled, g, strict=False)]
        top = max(score[:survivors])
        best = rival = third = score.index(top)
        margin = gap = MARGIN_LIMIT
        if running > 1:
            score[best] = -math.inf
            second = max(score)
            rival = third = score.index(second)
            gap = min(top - second, MARGIN_LIMIT)
        if survivors > 1:
            margin = gap if rival < survivors else min(top - max(score[:survivors]), MARGIN_LIMIT)
        if running > 2:
            score[rival] = -math.inf
            third = score.index(max(score))
        return Draw(int(ids[best]), best, survivors, log_q[best], margin, rival, third, gap, ids, log_q)
