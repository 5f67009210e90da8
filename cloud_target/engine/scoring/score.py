"""From rows of logits to what the wire carries: own tokens, audits and residual draws. Only small arrays leave the
device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from cloud_target.engine.interface import Sparse
from cloud_target.engine.scoring import noise
from cloud_target.engine.scoring.closeness import close
from cloud_target.engine.scoring.sampling import supports
from shared.config import TYPICAL_DELTA, TYPICAL_EPS, Sampling
from shared.noise import ACCEPT, DRAW, RESIDUAL

# How far ln p1 of a token and the threshold of unlikely words may be apart from where they were found, in numbers of
# how far a logit may: the first moves by up to two, and the entropy, a mean over logits, by a few.
_UNLIKELY_REACH = 8.0


@dataclass(frozen=True)
class Row:
    """One row to score.

    Attributes:
        position: of the token whose distribution the row is.
        sampling: how the own token is drawn.
        given: the token x that the text has there, or None at its end.
        q: the draft's distribution there, if x is judged by the residual coupling.
    """

    position: int
    sampling: Sampling
    given: int | None = None
    q: Sparse | None = None


class RowScores(NamedTuple):
    """Answers for N rows, and for M tokens beside the text's, as host arrays; those about x mean nothing in rows
    without one.

    Attributes:
        own: the target's own token, ``int64 [N]``.
        own_nll: -ln p1(own), nats, ``float64 [N]``.
        own_unlikely: whether the own token is an unlikely word, ``bool [N]``.
        off_strict: x is not the own token, ``bool [N]``.
        unlikely: p1(x) < min(eps, delta exp(-H(p1))), ``bool [N]`` (Medusa, arXiv 2401.10774, section 2.3.1).
        nll: -ln p1(x), nats, ``float64 [N]``.
        beside_unlikely, beside_nll: the same of the tokens beside, ``bool [M]`` and ``float64 [M]``.
        close: whether an answer in this row hangs on how its logits were rounded, ``bool [N]``.
    """

    own: np.ndarray
    own_nll: np.ndarray
    own_unlikely: np.ndarray
    off_strict: np.ndarray
    unlikely: np.ndarray
    nll: np.ndarray
    beside_unlikely: np.ndarray
    beside_nll: np.ndarray
    close: np.ndarray

    def replace(self, row: int, beside: Sequence[int], other: RowScores) -> None:
        """Put the answers of another scoring, of one row only, in the place of those of a row.

        Args:
            beside: which of the tokens beside the text the other has, in order.
        """
        for name in ("own", "own_nll", "own_unlikely", "off_strict", "unlikely", "nll"):
            getattr(self, name)[row] = getattr(other, name)[0]
        self.beside_unlikely[beside] = other.beside_unlikely
        self.beside_nll[beside] = other.beside_nll


def score(
    logits: torch.Tensor, rows: Sequence[Row], beside: Sequence[tuple[int, int]] = (), slack: float | None = None
) -> RowScores:
    """Score rows of logits ``float32 [N, vocabulary]``.

    Args:
        beside: further tokens to be looked at: the index of a row, and a token that may stand there.
        slack: how far each logit may be off, in either direction; None where nobody asks which answers are close.
    """
    device = logits.device
    given = torch.tensor([0 if row.given is None else row.given for row in rows], device=device)
    own = torch.empty(len(rows), dtype=torch.int64, device=device)
    keys = _keys(rows, DRAW, device)
    shifted = logits - logits.amax(1, keepdim=True)
    samplings = [row.sampling for row in rows]
    is_close = torch.zeros(len(rows), dtype=torch.bool, device=device)
    for support in supports(shifted, samplings, slack):
        own[support.rows], may_be_close = support.draw(keys)
        if may_be_close is not None:
            is_close[support.rows] = may_be_close
        if any(row.q is not None for row in rows):
            for place, index in enumerate(support.rows.tolist()):
                if (q := rows[index].q) is not None:
                    own[index] = _judge_residual(*support.distribution(place), rows[index], q, logits.shape[1])
    if slack is not None:
        # What the paper's rule draws is the target's in distribution only, so nobody compares it.
        is_close &= torch.tensor([row.q is None for row in rows], device=device)
        if len(few := is_close.nonzero().squeeze(1)):
            is_close[few] = close(shifted[few], [samplings[i] for i in few.tolist()], own[few], keys[few], slack)
    # One exponential a logit is all that ln p1 and the entropy need: H = ln Z - E[l], l the shifted logits.
    weights = shifted.exp()
    total = weights.sum(1)
    entropy = total.log() - weights.mul_(shifted).sum(1) / total
    count, every = len(rows), torch.arange(len(rows), device=device)
    others = torch.tensor(beside, dtype=torch.int64, device=device).view(-1, 2)
    at = torch.cat((every, every, others[:, 0]))
    nll = total.log()[at] - shifted[at, torch.cat((own, given, others[:, 1]))]
    least = torch.log((TYPICAL_DELTA * torch.exp(-entropy)).clamp(max=TYPICAL_EPS))[at]
    unlikely = -nll < least
    if slack is not None:
        on_edge = (nll + least).abs() <= _UNLIKELY_REACH * slack
        on_edge[count : 2 * count] &= torch.tensor([row.given is not None for row in rows], device=device)
        is_close[at[on_edge]] = True
    # One transfer: ids are exact in float64.
    packed = torch.cat((own.double(), own != given, is_close, unlikely, nll.double())).cpu().numpy()
    ids, off_strict, of_close, of_likely, of_nll = np.split(packed, (count, 2 * count, 3 * count, 3 * count + len(at)))
    ends = (count, 2 * count)
    own_unlikely, given_unlikely, beside_unlikely = np.split(of_likely > 0, ends)
    own_nll, given_nll, beside_nll = np.split(of_nll, ends)
    return RowScores(
        ids.astype(np.int64),
        own_nll,
        own_unlikely,
        off_strict > 0,
        given_unlikely,
        given_nll,
        beside_unlikely,
        beside_nll,
        of_close > 0,
    )


def _keys(rows: Sequence[Row], stream: int, device: torch.device) -> torch.Tensor:
    return noise.keys(((row.sampling.seed, row.position) for row in rows), stream, device)


def _judge_residual(ids: torch.Tensor, p: torch.Tensor, row: Row, given_q: Sparse, vocabulary: int) -> torch.Tensor:
    """Accept x with min(1, p(x)/q(x)), else draw from norm(max(0, p - q)): arXiv 2302.01318, algorithm 2.

    Args:
        ids, p: the target's distribution, ``int64 [C]`` and ``float64 [C]``.
        row: with x.
        given_q: the distribution that x was drawn from.
        vocabulary: number of ids.
    """
    device = ids.device
    q_ids, q_probabilities = (torch.as_tensor(part, device=device) for part in given_q)
    q = torch.zeros(vocabulary, dtype=torch.float64, device=device).scatter(0, q_ids, q_probabilities)
    x = torch.tensor([row.given], device=device)
    stands = noise.uniform(_keys([row], ACCEPT, device), x) * q[x] < p[ids == x].sum()
    excess = (p - q[ids]).clamp(min=0)
    # p = q up to rounding leaves nothing over: p itself is the limit.
    excess = torch.where(excess.sum() > 0, excess, p)
    best = (excess.log() + noise.gumbel(_keys([row], RESIDUAL, device), ids)).argmax()
    return torch.where(stands, x, ids[best]).squeeze(0)
