"""Drawing a token from what the draft gives of its distribution, with the noise that the target uses too.

The draft's graph gives its `K` likeliest tokens, best first, and what all weigh together. Survivors of top-k and top-p
are a prefix of that order, and mostly end among these candidates: then nothing else is looked at. Where they do not,
`shared/vocabulary.py` draws from all logits. A graph from before does not give those; then the candidates stand for the
whole vocabulary, here and where its verifier was calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shared import noise
from shared.config import Sampling
from shared.draw import MARGIN_LIMIT, OUTSIDERS, Draw
from shared.mass import ROUNDING, at_one, bounds
from shared.vocabulary import Vocabulary

_FEW = 16
_CERTAIN = [0.0]  # ln q where one token survives


class Sampler:
    """Draws x = argmax log q + g (coupled sampling: Daliri, Musco, Suresh, arXiv 2408.07978)."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._inverse = 1.0 / sampling.temperature if sampling.temperature else 0.0
        # At temperatures up to 1 the likeliest token's share only grows, so above this ln p it survives alone.
        self._certain = math.log(sampling.top_p) + 1e-6 if sampling.temperature <= 1 else math.inf
        self._most = sampling.top_k or None
        self._vocabulary: Vocabulary | None = None

    def draw(
        self,
        ids: np.ndarray,
        logits: np.ndarray,
        position: int,
        log_normaliser: float = math.inf,
        every: np.ndarray | None = None,
    ) -> Draw:
        """Draw the token for `position`.

        Args:
            ids: candidates, best first, ``int64 [K]``.
            logits: their raw logits, descending, ``float32 [K]``.
            position: of the token to be drawn, in the whole sequence.
            log_normaliser: log-sum-exp of all raw logits, if known. By itself it changes only the time this takes.
            every: all raw logits, ``float32 [V]``; with them and their normaliser the draw is one from the whole
                vocabulary. None where the candidates stand for it.
        """
        first = logits.item(0)
        if not self._inverse:
            return _greedy(ids, logits)
        # Plain floats, not arrays: after a model has run, its weights have pushed NumPy's code out of the cache, and a
        # dozen small calls cost more than these loops.
        if first - log_normaliser > self._certain:
            scaled = [(logit - first) * self._inverse for logit in logits[: 1 + OUTSIDERS].tolist()]
            return self._drawn(ids, logits, scaled, _CERTAIN, position)
        scaled = [(logit - first) * self._inverse for logit in logits.tolist()]
        weights = [math.exp(value) for value in scaled[: self._most]]
        # Where there is nothing beyond the candidates, or nothing that is a number, they are all there is.
        if every is None or len(every) <= len(scaled) or not math.isfinite(log_normaliser):
            survivors, mass = self._of_candidates(weights)
        else:
            found = self._settled(weights, scaled[-1], log_normaliser - first)
            if found is None:
                if self._vocabulary is None:
                    self._vocabulary = Vocabulary(self.sampling, len(every))
                found = self._counted(weights, log_normaliser - first, every, self._vocabulary)
                if found[0] > len(scaled):
                    return self._vocabulary.draw(every, ids, scaled, position, *found)
            survivors, mass = found
        log_mass = math.log(mass)
        return self._drawn(ids, logits, scaled, [value - log_mass for value in scaled[:survivors]], position)

    def _of_candidates(self, weights: list[float]) -> tuple[int, float]:
        """How many survive of candidates of these weights where no other token counts, and what they weigh."""
        mass, top_p = sum(weights), self.sampling.top_p
        found = _prefix(weights, top_p * mass, top_p * mass) if top_p < 1.0 else None
        return found or (len(weights), mass)

    def _settled(self, weights: list[float], last: float, log_mass: float) -> tuple[int, float] | None:
        """The same in the whole vocabulary; None if the candidates do not say, or do not suffice.

        Args:
            weights: of the candidates, as many as top-k lets survive.
            last: the last candidate's logit, from the first one's, by the temperature.
            log_mass: ln of what all tokens weigh at temperature 1.
        """
        top_k, top_p = self.sampling.top_k, self.sampling.top_p
        if top_k == len(weights):
            return self._of_candidates(weights)
        if top_p == 1.0:
            return None
        least, most = bounds(weights, last, self.sampling.temperature, log_mass)
        if top_k:  # of which the candidates are some
            least = min(least, sum(weights))
        return _prefix(weights, top_p * least, top_p * most)

    def _counted(
        self, weights: list[float], log_mass: float, every: np.ndarray, vocabulary: Vocabulary
    ) -> tuple[int, float]:
        """The same where the candidates do not say."""
        mass = at_one(log_mass) if self.sampling.temperature == 1.0 else vocabulary.mass(every)
        found = None
        if self.sampling.top_p < 1.0 and not self.sampling.top_k:
            enough = self.sampling.top_p * mass
            found = _prefix(weights, enough * (1 - ROUNDING), enough * (1 + ROUNDING))
        return found or vocabulary.survivors(every, mass)

    def _drawn(
        self, ids: np.ndarray, logits: np.ndarray, scaled: list[float], log_q: list[float], position: int
    ) -> Draw:
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
        return Draw(
            ids.item(best),
            logits.item(best),
            best,
            survivors,
            log_q[best],
            margin,
            ids.item(rival),
            logits.item(rival),
            ids.item(third),
            gap,
            ids,
            log_q,
        )


def _greedy(ids: np.ndarray, logits: np.ndarray) -> Draw:
    first, last = logits.item(0), len(logits) - 1
    rival = min(1, last)
    second = logits.item(rival)
    gap = min(first - second, MARGIN_LIMIT) if rival else MARGIN_LIMIT
    third = ids.item(min(2, last))
    return Draw(ids.item(0), first, 0, 1, 0.0, gap, ids.item(rival), second, third, gap, ids, _CERTAIN)


def _prefix(weights: Sequence[float], enough: float, certainly: float) -> tuple[int, float] | None:
    """The fewest of the first tokens that weigh enough, and what they weigh; None where they might, and might not, as
    what is certainly enough is more, and where all of these do not."""
    held = 0.0
    for count, weight in enumerate(weights, 1):
        held += weight
        if held >= enough:
            return (count, held) if held >= certainly else None
    return None
