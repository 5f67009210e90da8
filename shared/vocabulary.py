"""Drawing from all logits of a vocabulary, for the draws that the likeliest tokens do not settle.

No token beyond the candidates is likelier than the last of them. So only one with more noise than what that one lacks
can be drawn, or come near: some dozens of many thousands, and which they are is plain from the hash that noise is made
of (`shared.noise.Peaks`). Logarithms are taken of those alone, and nothing is sorted unless survivors must be counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shared import noise
from shared.config import Sampling
from shared.draw import MARGIN_LIMIT, OUTSIDERS, Draw

# x, its rival, and the third.
_TOLD = 3


class _Contender(NamedTuple):
    score: float
    rank: int
    token: int


@dataclass(slots=True)
class WideDraw(Draw):
    """A draw whose survivors are not all among the candidates; `_ids` are all raw logits, ``float32 [V]``."""

    _inverse: float = 1.0
    _log_mass: float = 0.0

    @property
    def distribution(self) -> tuple[np.ndarray, np.ndarray]:
        every = self._ids.astype(np.float64)
        ids = np.argsort(-every, kind="stable")[: self.survivors]
        return ids, np.exp((every[ids] - every.max()) * self._inverse - self._log_mass)


class Vocabulary:
    """Draws from all logits, as `shared.sampling.Sampler` does from candidates; for one thread.

    Args:
        sampling: how, at a temperature above 0.
        size: V, number of ids.
    """

    def __init__(self, sampling: Sampling, size: int) -> None:
        self._sampling = sampling
        self._size = size
        self._inverse = 1.0 / sampling.temperature
        self._peaks = noise.Peaks(size)

    def survivors(self, every: np.ndarray, log_normaliser: float) -> tuple[int, float]:
        """How many tokens survive, and what they weigh, the likeliest 1.

        Args:
            every: all raw logits, ``float32 [V]``.
            log_normaliser: their log-sum-exp.
        """
        first, top_p = every.max().item(), self._sampling.top_p
        top_k = min(self._sampling.top_k or self._size, self._size)
        if top_p == 1.0 and top_k == self._size:
            if self._inverse == 1.0:
                return self._size, math.exp(log_normaliser - first)
            weights = np.exp((every - np.float32(first)) * np.float32(self._inverse))
            return self._size, weights.sum(dtype=np.float64).item()
        weights = np.sort(every)[::-1].astype(np.float64)
        weights -= first
        weights *= self._inverse
        held = np.exp(weights, out=weights).cumsum()
        count = top_k
        if top_p < 1.0:
            count = min(int(np.searchsorted(held[:top_k], top_p * held[top_k - 1])) + 1, top_k)
        return count, held.item(count - 1)

    def draw(
        self, every: np.ndarray, ids: np.ndarray, scaled: Sequence[float], position: int, survivors: int, mass: float
    ) -> Draw:
        """Draw the token for `position` among more survivors than candidates.

        Args:
            every: all raw logits, ``float32 [V]``.
            ids: the likeliest tokens, best first, ``int64 [K]``.
            scaled: their logits, from the first one's, by the temperature.
            position: of the token to be drawn.
            survivors, mass: as `survivors` says.
        """
        key, log_mass = noise.key(self._sampling.seed, position), math.log(mass)
        x, others = self._contest(every, ids, scaled, key, survivors)
        rival = others[0]
        third = others[min(1, len(others) - 1)]
        second = next((other for other in others if other.rank < survivors), None)
        logit = every.item(x.token)
        return WideDraw(
            token=x.token,
            logit=logit,
            index=x.rank,
            survivors=survivors,
            log_q=(logit - every.item(ids.item(0))) * self._inverse - log_mass,
            noisy_margin=min(x.score - second.score, MARGIN_LIMIT) if second else MARGIN_LIMIT,
            rival=rival.token,
            rival_logit=every.item(rival.token),
            third=third.token,
            rival_gap=min(x.score - rival.score, MARGIN_LIMIT),
            _ids=every,
            _log_q=(),
            _inverse=self._inverse,
            _log_mass=log_mass,
        )

    def _contest(
        self, every: np.ndarray, ids: np.ndarray, scaled: Sequence[float], key: int, survivors: int
    ) -> tuple[_Contender, list[_Contender]]:
        """The best of the survivors by log q + g, and those that come next, outsiders among them, in order."""
        first, running = every.item(ids.item(0)), survivors + OUTSIDERS
        score = (np.array(scaled) + noise.gumbel(key, ids)).tolist()
        best = sorted(zip(score, range(len(score)), ids.tolist(), strict=True), reverse=True)[:_TOLD]
        # Who is told of may as well be far down the order, if only its noise makes up for what it lacks.
        least = best[-1][0] if len(best) == _TOLD else -math.inf
        loud = self._peaks.above(key, least - scaled[-1])
        reached = (every[loud].astype(np.float64) - first) * self._inverse + noise.gumbel(key, loud)
        near = reached >= least
        known = {token for _, _, token in best}
        found = [_Contender(*contender) for contender in best]
        for token, value in zip(loud[near].tolist(), reached[near].tolist(), strict=True):
            if token not in known and (rank := _rank(every, token)) < running:
                found.append(_Contender(value, rank, token))
        found.sort(key=lambda one: (-one.score, one.rank))
        x = next(one for one in found if one.rank < survivors)
        return x, [one for one in found if one is not x]


def _rank(every: np.ndarray, token: int) -> int:
    """How many tokens stand before this one: those of larger logits, and of equal ones with lower ids."""
    logit = every[token]
    return int(np.count_nonzero(every > logit) + np.count_nonzero(every[:token] == logit))
