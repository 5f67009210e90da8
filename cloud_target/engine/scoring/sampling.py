"""The target's distribution p after temperature, top-k and top-p, for many rows at once, on the device.

Truncation means what it means in `shared/sampling.py`: survivors are the shortest prefix of the sorted order (highest
logit first, lowest id on ties) that holds top_p of the top-k mass. Sorting a whole vocabulary is the dear part, so few
candidates are tried first, and more only for the rows that they provably do not settle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from cloud_target.engine.scoring import noise
from cloud_target.engine.scoring.uncut import Uncut
from shared.config import Sampling

# How many of the likeliest tokens are tried; after the last of these, all.
CANDIDATES = (32, 256, 2048)
# Ids piled up into one column where the largest are looked for; a power of two, as it divides most vocabularies.
_DEPTH = 16
# No two logits of a model are so far apart, and its exponential is still a number.
FAR = 300.0
# Logits that a CPU looks through as fast without that.
_FEW = 1 << 14


@dataclass(frozen=True)
class Support:
    """p of some rows on C tokens each that include all that survive.

    Attributes:
        rows: which rows, ``int64 [n]``.
        ids: token ids, ``int64 [n, C]``.
        log_p: ln p, -inf for those that do not survive, ``float64 [n, C]``.
        sure: whether the same tokens survive with logits that are off by as much as the slack; None without slack,
            ``bool [n]``.
        reach: how far apart two of ln p may get by that, or come, ``float64 [n, 1]``.
    """

    rows: torch.Tensor
    ids: torch.Tensor
    log_p: torch.Tensor
    sure: torch.Tensor | None = None
    reach: torch.Tensor | None = None

    def of(self, which: torch.Tensor) -> Support:
        """Some of its rows."""
        sure, reach = (None if part is None else part[which] for part in (self.sure, self.reach))
        return Support(self.rows[which], self.ids[which], self.log_p[which], sure, reach)

    def distribution(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and their p in one of the rows, ``int64 [C]`` and ``float64 [C]``."""
        return self.ids[place], self.log_p[place].exp()

    def draw(self, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """y = argmax log p + g for these rows, ``int64 [n]``, under the noise keys of all rows, ``int64 [N]``; and
        whether it may be another one within the slack, ``bool [n]``."""
        score = self.log_p + noise.gumbel(keys[self.rows, None], self.ids)
        best, at = score.max(1, keepdim=True)
        y = self.ids.gather(1, at).squeeze(1)
        if self.sure is None or self.reach is None:
            return y, None
        return y, ((score >= best - self.reach).sum(1) > 1) | ~self.sure


def supports(
    logits: torch.Tensor, samplings: Sequence[Sampling], slack: float | None = None
) -> Iterator[Support | Uncut]:
    """The distributions of all rows, in groups that need the same work.

    Args:
        logits: ``float32 [N, vocabulary]``, the largest of each row 0.
        samplings: one for each row.
        slack: how far each logit may be off, in either direction; None where nobody asks what hangs on that.
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
        of_rows = logits[rows]
        ids = of_rows.argmax(1, keepdim=True)
        log_p = torch.zeros(ids.shape, dtype=torch.float64, device=device)
        sure = None if slack is None else (of_rows >= -2 * slack).sum(1) == 1
        yield Support(rows, ids, log_p, sure, log_p)
    if whole:
        rows = torch.tensor(whole, device=device)
        inverse = torch.tensor([1 / samplings[row].temperature for row in whole], dtype=torch.float64, device=device)
        yield Uncut(rows, logits if len(whole) == len(logits) else logits[rows], inverse[:, None], slack)
    if cut:
        rows = torch.tensor(cut, device=device)
        by_row = [samplings[row] for row in cut]
        terms = torch.tensor(
            [[1 / s.temperature, min(s.top_k or vocabulary, vocabulary), s.top_p] for s in by_row],
            dtype=torch.float64,
            device=device,
        )
        by_rank = any(0 < s.top_k < vocabulary for s in by_row)
        yield from _cut(logits if len(cut) == len(logits) else logits[rows], rows, terms, by_rank, slack)


def _cut(
    logits: torch.Tensor, rows: torch.Tensor, terms: torch.Tensor, by_rank: bool, slack: float | None
) -> Iterator[Support]:
    """The rows that top-k or top-p cut; see `_truncate`."""
    vocabulary = logits.shape[1]
    whole = (logits * terms[:, 0:1].float()).exp_().sum(1, keepdim=True).double()
    for width in widths(vocabulary):
        values, ids = best(logits, width)
        log_p, survivors, settled, limit = _truncate(values, whole, terms, vocabulary, by_rank)
        found = Support(rows, ids, log_p)
        if slack is not None:
            sure = _is_sure(values, log_p, survivors, limit, terms, slack)
            found = Support(rows, ids, log_p, sure, 2 * slack * terms[:, 0:1])
        if width == vocabulary or settled.all():
            yield _trimmed(found, survivors)
            return
        if settled.any():
            yield _trimmed(found.of(settled), survivors[settled])
            logits, rows, terms, whole = (part[~settled] for part in (logits, rows, terms, whole))


def widths(vocabulary: int) -> tuple[int, ...]:
    """How many candidates are tried, one after the other; all in the end."""
    return (*(width for width in CANDIDATES if width < vocabulary), vocabulary)


def best(logits: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
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


def _trimmed(support: Support, survivors: torch.Tensor) -> Support:
    longest = int(survivors.max())
    return replace(support, ids=support.ids[:, :longest], log_p=support.log_p[:, :longest])


def _is_sure(
    values: torch.Tensor,
    log_p: torch.Tensor,
    survivors: torch.Tensor,
    limit: torch.Tensor,
    terms: torch.Tensor,
    slack: float,
) -> torch.Tensor:
    """Whether the same tokens survive wherever the logits are within the slack, ``bool [n]``: the last of them is far
    enough from the next one, and the mass with and without it from what top-p wants.

    Args:
        as of `_truncate`, and what it returns.
    """
    inverse, top_k, top_p = terms[:, 0:1], terms[:, 1:2], terms[:, 2:3]
    count = survivors[:, None]
    least, beyond = values.gather(1, count - 1), values.gather(1, count.clamp(max=values.shape[1] - 1))
    off = (4 * slack * inverse).clamp(max=FAR).exp()  # by such a factor a share of the mass may be too large, or small
    kept = torch.exp(-log_p[:, 0:1])  # the first logit is 0
    before = kept - (least.double() * inverse).exp()
    needs_last = (before * off < limit) | (top_p == 1)
    needs_no_more = (kept > limit * off) | (count == top_k)
    return ((least - beyond > 2 * slack) & needs_last & needs_no_more).squeeze(1)


def _truncate(
    values: torch.Tensor, whole: torch.Tensor, terms: torch.Tensor, vocabulary: int, by_rank: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """ln p of sorted candidates, how many survive, whether the candidates settle which, and the mass that top-p wants.

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
    limit = top_p * mass
    survivors = (cumulative < limit).sum(1, keepdim=True) + 1
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
    return log_p, survivors.squeeze(1), settled.squeeze(1), limit
