"""Drawing from all logits of a vocabulary, for the draws that the likeliest tokens do not settle.

No token beyond the candidates is likelier than the last of them. So only one with more noise than what that one lacks
can be drawn, or come near: some dozens of many thousands, and which they are is plain from the hash that noise is made
of (`shared.noise.Peaks`). Logarithms are taken of those alone; and only where survivors must be counted is anything
sorted, mostly a few thousand of the likeliest.
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
# Survivors are counted among so many of the likeliest; after that, among all.
_MANY = 4096


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
        self._scratch = np.empty(size, np.float32)

    def mass(self, every: np.ndarray) -> float:
        """What all tokens weigh, the likeliest 1.

        Args:
            every: all raw logits, ``float32 [V]``.
        """
        weights = np.subtract(every, every.max(), out=self._scratch)
        weights *= np.float32(self._inverse)
        return float(np.exp(weights, out=weights).sum())

    def survivors(self, every: np.ndarray, mass: float) -> tuple[int, float]:
        """How many tokens survive, and what they weigh.

        Args:
            every: all raw logits, ``float32 [V]``.
            mass: what all tokens weigh.
        """
        top_k, top_p = min(self._sampling.top_k or self._size, self._size), self._sampling.top_p
        if top_p == 1.0 and top_k == self._size:
            return self._size, mass
        for width in (min(_MANY, self._size), self._size):
            likeliest = np.sort(np.partition(every, self._size - width)[self._size - width :])[::-1]
            held = np.exp((likeliest.astype(np.float64) - likeliest[0]) * self._inverse).cumsum()
            # With every token at hand the running sum itself is the mass: no second rounding to disagree with.
            if top_k <= width:
                mass = held.item(top_k - 1)
            elif top_k < self._size or held[-1] <= top_p * mass:
                continue
            count = min(int(np.searchsorted(held, top_p * mass)) + 1, top_k) if top_p < 1.0 else top_k
            return count, held.item(count - 1)
        raise AssertionError("all tokens are no fewer than top-k")

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
        rival = others[0] if others else x
        third = others[1] if len(others) > 1 else rival
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
            rival_gap=min(x.score - rival.score, MARGIN_LIMIT) if others else MARGIN_LIMIT,
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
        return x, [one for one in found if one is not x and one.score > -math.inf]


def _rank(every: np.ndarray, token: int) -> int:
    """How many tokens stand before this one: those of larger logits, and of equal ones with lower ids."""
    logit = every[token]
    return int(np.count_nonzero(every > logit) + np.count_nonzero(every[:token] == logit))
