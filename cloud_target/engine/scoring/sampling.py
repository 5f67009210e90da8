"""The target's distribution p after temperature, top-k and top-p, for many rows at once, on the device.

Truncation means what it means in `shared/sampling.py`: survivors are the shortest prefix of the sorted order (highest
logit first, lowest id on ties) that holds top_p of the top-k mass. Sorting a whole vocabulary is the dear part, so few
candidates are tried first, and more only for the rows that they provably do not settle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from cloud_target.engine.scoring import noise
from shared.config import Sampling

# How many of the likeliest tokens are tried; after the last of these, all.
CANDIDATES = (32, 256, 2048)
# Ids piled up into one column where the largest are looked for; a power of two, as it divides most vocabularies.
_DEPTH = 16
# Logits that a CPU looks through as fast without that.
_FEW = 1 << 14


@dataclass(frozen=True)
class Support:
    """p of some rows on C tokens each that include all that survive.

    Attributes:
        rows: which rows, ``int64 [n]``.
        ids: token ids, ``int64 [n, C]``.
        log_p: ln p, -inf for those that do not survive, ``float64 [n, C]``.
    """

    rows: torch.Tensor
    ids: torch.Tensor
    log_p: torch.Tensor

    def draw(self, keys: torch.Tensor) -> torch.Tensor:
        """y = argmax log p + g for these rows, ``int64 [n]``, under the noise keys of all rows, ``int64 [N]``."""
        score = self.log_p + noise.gumbel(keys[self.rows, None], self.ids)
        return self.ids.gather(1, score.argmax(1, keepdim=True)).squeeze(1)


def supports(logits: torch.Tensor, samplings: Sequence[Sampling]) -> Iterator[Support]:
    """The distributions of all rows, in groups that need the same work.

    Args:
        logits: ``float32 [N, vocabulary]``, the largest of each row 0.
        samplings: one for each row.
    """
    vocabulary, device = logits.shape[1], logits.device
    greedy, whole, cut = [], [], []
    for row, s in enumerate(samplings):
        if s.temperature == 0:
            greedy.append(row)
        elif s.top_p == 1 and not 0 < s.top_k < vocabulary:
            whole.append(row)
        else:
            cut.append(row)
    if greedy:
        rows = torch.tensor(greedy, device=device)
        ids = logits[rows].argmax(1, keepdim=True)
        yield Support(rows, ids, torch.zeros(ids.shape, dtype=torch.float64, device=device))
    if whole:
        rows = torch.tensor(whole, device=device)
        inverse = torch.tensor([1 / samplings[row].temperature for row in whole], dtype=torch.float64, device=device)
        log_p = torch.log_softmax(logits[rows].double() * inverse[:, None], 1)
        yield Support(rows, torch.arange(vocabulary, device=device).expand_as(log_p), log_p)
    if cut:
        rows = torch.tensor(cut, device=device)
        by_row = [samplings[row] for row in cut]
        terms = torch.tensor(
            [[1 / s.temperature, min(s.top_k or vocabulary, vocabulary), s.top_p] for s in by_row],
            dtype=torch.float64,
            device=device,
        )
        by_rank = any(0 < s.top_k < vocabulary for s in by_row)
        yield from _cut(logits if len(cut) == len(logits) else logits[rows], rows, terms, by_rank)


def _cut(logits: torch.Tensor, rows: torch.Tensor, terms: torch.Tensor, by_rank: bool) -> Iterator[Support]:
    """The rows that top-k or top-p cut; see `_truncate`."""
    vocabulary = logits.shape[1]
    whole = (logits * terms[:, 0:1].float()).exp_().sum(1, keepdim=True).double()
    for width in (*(width for width in CANDIDATES if width < vocabulary), vocabulary):
        values, ids = _best(logits, width)
        log_p, survivors, settled = _truncate(values, whole, terms, vocabulary, by_rank)
        if width == vocabulary or settled.all():
            yield _trimmed(rows, ids, log_p, survivors)
            return
        if settled.any():
            yield _trimmed(rows[settled], ids[settled], log_p[settled], survivors[settled])
            logits, rows, terms, whole = (part[~settled] for part in (logits, rows, terms, whole))


def _best(logits: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `width` largest logits of each row and their ids, in order; the lowest id comes first on ties."""
    if width == logits.shape[1]:
        return logits.sort(dim=1, descending=True, stable=True)
    values, ids = _largest(logits, width)
    if (values[:, 1:] == values[:, :-1]).any():  # topk leaves their order open: sort by id, then stably by value
        ids = ids.sort(dim=1).values
        values, order = logits.gather(1, ids).sort(dim=1, descending=True, stable=True)
        ids = ids.gather(1, order)
    return values, ids


def _largest(logits: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As topk, but it looks at whole columns first: the largest are in the `width` columns with the largest maxima."""
    rows, vocabulary = logits.shape
    columns = vocabulary // _DEPTH
    few = logits.device.type == "cpu" and logits.numel() <= _FEW
    if few or vocabulary % _DEPTH or columns <= 4 * width:
        return logits.topk(width)
    piled = logits.view(rows, _DEPTH, columns)
    best = piled.amax(1).topk(width, sorted=False).indices
    values, places = piled.gather(2, best[:, None].expand(rows, _DEPTH, width)).flatten(1).topk(width)
    return values, best.gather(1, places % width) + places // width * columns


def _trimmed(rows: torch.Tensor, ids: torch.Tensor, log_p: torch.Tensor, survivors: torch.Tensor) -> Support:
    longest = int(survivors.max())
    return Support(rows, ids[:, :longest], log_p[:, :longest])


def _truncate(
    values: torch.Tensor, whole: torch.Tensor, terms: torch.Tensor, vocabulary: int, by_rank: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ln p of sorted candidates, how many survive, and whether the candidates settle which.

    Args:
        values: the largest logits of rows, descending, ``float32 [n, C]``; the first is 0.
        whole: the mass of all tokens at the row's temperature, ``float64 [n, 1]``.
        terms: 1 / temperature, top-k (V keeps all) and top-p, ``float64 [n, 3]``.
        by_rank: whether any top-k is below V; without, there is less to do.
    """
    width = values.shape[1]
    inverse, top_k, top_p = terms[:, 0:1], terms[:, 1:2], terms[:, 2:3]
    rank = torch.arange(width, device=values.device)
    scaled = values.double() * inverse
    if by_rank:
        scaled = scaled.masked_fill_(rank >= top_k, -torch.inf)
    cumulative = scaled.exp().cumsum(1)
    # With every token among the candidates the running sum itself is the mass: no second rounding to disagree with.
    if width == vocabulary:
        mass = cumulative[:, -1:]
    else:
        mass = torch.where(top_k <= width, cumulative[:, -1:], whole) if by_rank else whole
    survivors = (cumulative < top_p * mass).sum(1, keepdim=True) + 1
    if by_rank:
        survivors = torch.minimum(torch.where(top_p < 1, survivors, vocabulary), top_k.long())
    survivors = survivors.clamp_(max=width)
    last = survivors - 1
    # Beyond the candidates nothing can change the survivors if the last of them is strictly above the last candidate,
    # and the mass is known: all of the top k are here, or all tokens count.
    settled = values.gather(1, last) > values[:, -1:]
    if by_rank:
        settled &= (top_k <= width) | (top_k == vocabulary)
    log_p = (scaled - cumulative.gather(1, last).log()).masked_fill_(rank > last, -torch.inf)
    return log_p, survivors.squeeze(1), settled.squeeze(1)
