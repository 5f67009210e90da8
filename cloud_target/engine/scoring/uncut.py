"""Draws from whole vocabularies, without a Gumbel number for each of their tokens.

A token is drawn, or comes near, because it is likely or because it has much noise. Which have much is plain from the
hash that noise is made of, and those few are scored first, with the likeliest one. Of all others it is then known how
much noise they have at most, so that only likely ones can score as much as the best of these; and those are few, too.
The two together are scored as all would be, so that what is drawn is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cloud_target.engine.scoring import noise

# One id of so many has much noise.
_ONE_OF = 128
_MUCH = -math.log(-math.log1p(-1 / _ONE_OF))


@dataclass(frozen=True)
class Contenders:
    """The tokens of some rows that score within a row's reach of its best one.

    Attributes:
        rows, ids: which token of which row, ``int64 [m]``.
        scores: its ln p + g, but for the row's normaliser, ``float64 [m]``.
    """

    rows: torch.Tensor
    ids: torch.Tensor
    scores: torch.Tensor


@dataclass(frozen=True)
class Uncut:
    """p of some rows on the whole vocabulary.

    Attributes:
        rows: which rows, ``int64 [n]``.
        logits: of them, the largest of each 0, ``float32 [n, V]``.
        inverse: 1 / temperature, ``float64 [n, 1]``.
        slack: as in `Support`.
    """

    rows: torch.Tensor
    logits: torch.Tensor
    inverse: torch.Tensor
    slack: float | None

    def draw(self, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `Support.draw`."""
        reach = 2 * (self.slack or 0.0) * self.inverse
        found = contenders(self.logits, self.inverse, keys[self.rows], reach)
        best = best_scores(found, len(self.rows))
        wins = found.scores == best[found.rows]
        y = torch.zeros_like(self.rows)  # where nothing is a number
        y = y.scatter_reduce(0, found.rows[wins], found.ids[wins], "amin", include_self=False)
        if self.slack is None:
            return y, None
        return y, torch.bincount(found.rows, minlength=len(self.rows)) > 1

    def distribution(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Support.distribution`."""
        p = torch.log_softmax(self.logits[place].double() * self.inverse[place], 0).exp()
        return torch.arange(len(p), device=p.device), p


def contenders(logits: torch.Tensor, inverse: torch.Tensor, keys: torch.Tensor, reach: torch.Tensor) -> Contenders:
    """Who may be drawn.

    Args:
        logits: ``float32 [n, V]``, the largest of each row 0.
        inverse: 1 / temperature, ``float64 [n, 1]``.
        keys: of each row's noise, ``int64 [n]``.
        reach: how far below a row's best score it is still asked for, ``float64 [n, 1]``.
    """
    loud = noise.are_high(keys, logits.shape[1], _MUCH)
    loud |= logits == 0  # the likeliest
    first = _scored(loud, logits, inverse, keys)
    best = best_scores(first, len(logits))[:, None]
    # A number lower for rounding.
    likely = logits >= ((best - reach - _MUCH) / inverse).float().nextafter(logits.new_tensor(-torch.inf))
    then = _scored(likely & ~loud, logits, inverse, keys)
    found = Contenders(*(torch.cat(pair) for pair in zip(_parts(first), _parts(then), strict=True)))
    near = found.scores >= (best_scores(found, len(logits)) - reach.squeeze(1))[found.rows]
    return Contenders(*(part[near] for part in _parts(found)))


def best_scores(found: Contenders, count: int) -> torch.Tensor:
    """Of each of `count` rows, ``float64 [count]``."""
    lowest = torch.full((count,), -torch.inf, dtype=torch.float64, device=found.scores.device)
    return lowest.scatter_reduce(0, found.rows, found.scores, "amax")


def _parts(found: Contenders) -> Iterator[torch.Tensor]:
    yield from (found.rows, found.ids, found.scores)


def _scored(which: torch.Tensor, logits: torch.Tensor, inverse: torch.Tensor, keys: torch.Tensor) -> Contenders:
    """The tokens that are marked, ``bool [n, V]``."""
    rows, ids = which.nonzero(as_tuple=True)
    scores = logits[rows, ids].double() * inverse[rows, 0] + noise.gumbel(keys[rows], ids)
    return Contenders(rows, ids, scores)
