"""Which draws hang on how a sum was rounded.

A logit is a sum of many products, and one that is summed up in another order (other texts in the pass, a prompt read in
other parts) is another number in its last digits. Nearly always that changes nothing. Here those rows are found where
it could: another token comes within reach of the drawn one, or that stands at the very edge of top-k or top-p.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from cloud_target.engine.scoring import noise
from cloud_target.engine.scoring.sampling import FAR, best, widths
from cloud_target.engine.scoring.uncut import contenders
from shared.config import Sampling


def close(
    logits: torch.Tensor, samplings: Sequence[Sampling], own: torch.Tensor, keys: torch.Tensor, slack: float
) -> torch.Tensor:
    """Whether another token could have been drawn, ``bool [N]``.

    Args:
        logits: ``float32 [N, vocabulary]``, the largest of each row 0.
        samplings: of each row.
        own: the tokens that were drawn, ``int64 [N]``.
        keys: of the noise that they were drawn with, ``int64 [N]``.
        slack: how far each logit may be off, in either direction.
    """
    vocabulary, device = logits.shape[1], logits.device
    # The best token is the best of one; what noise it is drawn with does not matter then.
    ways = [(s.temperature, s.top_k or vocabulary, s.top_p) if s.temperature else (1.0, 1, 1.0) for s in samplings]
    terms = torch.tensor([(1 / t, min(k, vocabulary), p) for t, k, p in ways], dtype=torch.float64, device=device)
    found = torch.zeros(len(samplings), dtype=torch.bool, device=device)
    is_cut = (terms[:, 1] < vocabulary) | (terms[:, 2] < 1)
    if not is_cut.all():
        rows = (~is_cut).nonzero().squeeze(1)
        found[rows] = _uncut(logits[rows], own[rows], keys[rows], terms[rows, 0:1], slack)
    rows = is_cut.nonzero().squeeze(1)
    whole = (logits * terms[:, 0:1].float()).exp_().sum(1, keepdim=True).double()
    for width in widths(vocabulary):
        if not len(rows):
            break
        values, ids = best(logits[rows], width)
        found[rows], settled = _cut(values, ids, own[rows], keys[rows], terms[rows], whole[rows], slack, vocabulary)
        rows = rows[~settled]
    return found


def _uncut(
    logits: torch.Tensor, own: torch.Tensor, keys: torch.Tensor, inverse: torch.Tensor, slack: float
) -> torch.Tensor:
    """The rows in which every token survives."""
    found = contenders(logits, inverse, keys, 2 * slack * inverse)
    is_another = found.ids != own[found.rows]
    return torch.bincount(found.rows[is_another], minlength=len(own)) > 0


def _cut(
    values: torch.Tensor,
    ids: torch.Tensor,
    own: torch.Tensor,
    keys: torch.Tensor,
    terms: torch.Tensor,
    whole: torch.Tensor,
    slack: float,
    vocabulary: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows that top-k or top-p cut; and whether these candidates settle it.

    Args:
        values, ids: the largest logits of rows, descending, and whose they are, ``[n, C]``.
        terms: 1 / temperature, top-k and top-p, ``float64 [n, 3]``.
        whole: the mass of all tokens, ``float64 [n, 1]``.
    """
    width = values.shape[1]
    inverse, top_k, top_p = terms[:, 0:1], terms[:, 1:2].long(), terms[:, 2:3]
    scaled = values.double() * inverse
    reach = 2 * slack * inverse
    off = reach.clamp(max=FAR).exp()  # by such a factor a share of the mass may be too large, or too small
    # Of each candidate, how many are surely above it, and how many of the others may be.
    above = torch.searchsorted(-scaled, -(scaled + reach))
    beside = torch.searchsorted(-scaled, reach - scaled, right=True) - 1
    weights = scaled.exp()
    mass = F.pad(weights.cumsum(1), (1, 0))
    limit = top_p * torch.where(top_k <= width, mass.gather(1, top_k.clamp(max=width)), whole)
    all_count = top_p == 1
    may = (above < top_k) & (all_count | (mass.gather(1, above) < limit * off))
    must = (beside < top_k) & (all_count | ((mass.gather(1, beside + 1) - weights) * off < limit))
    score = scaled + noise.gumbel(keys[:, None], ids)
    is_own = ids == own[:, None]
    drawn = score.where(is_own, -torch.inf).amax(1, keepdim=True)
    rivals = may & ~is_own & (score >= drawn - reach)
    settled = ~may[:, -1] & ((top_k <= width) | (top_k == vocabulary)).squeeze(1)
    return rivals.any(1) | ~(is_own & must).any(1), settled | (width == vocabulary)
