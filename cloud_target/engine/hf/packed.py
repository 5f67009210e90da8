"""One pass over rows of any lengths without padding: their tokens stand in one line, and attention takes row by row.

transformers lets a model's attention be replaced by name. Ours finds the keys and values of each row where they lie in
the arena; everything else in the model treats tokens one by one and needs to know of no rows. A row of one token or
sixteen, with a text of ten or a thousand behind it, costs what it costs alone, minus the weights' way to the processor.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from cloud_target.engine.hf.costs import Costs, grouped
from cloud_target.engine.lineage import ancestors, depths

NAME = "tandem_packed"
# Most new tokens of a row in one call. Longer rows take several: what lies after a piece needs no masking away then.
QUERY = 64
# Arguments of attention that change nothing here: evaluation has no dropout, and rows say themselves what is seen.
_IDLE = {
    "dropout",
    "is_causal",
    "position_ids",
    "cache_position",
    "use_cache",
    "output_attentions",
    "output_hidden_states",
}
_IDLE |= {"output_router_logits", "head_mask"}


@dataclass(frozen=True)
class Row:
    """New tokens of one text: ``[begin, end)`` of the line; their text has arena indices ``[first, last)``, they
    themselves the last of these. Where they are a tree, `follows` says of each which of them it follows, -1 for the
    first."""

    begin: int
    end: int
    first: int
    last: int
    follows: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return self.end - self.begin

    @property
    def seen(self) -> int:
        return self.last - self.first


class Masks:
    """What rows may look at, as terms to add to the scores: 0, or minus infinity.

    A row's tokens see all before them, and each one itself and fewer of the others; so the mask of every row is a
    window into one, and none is ever made for a pass.
    """

    def __init__(self, context: int, dtype: torch.dtype, device: torch.device) -> None:
        self._context, self._dtype, self._device = context, dtype, device
        self._whole: dict[tuple[int, int | None], torch.Tensor] = {}

    def of(self, row: Row, seen: int, repeat: int, window: int | None) -> torch.Tensor | None:
        """What a row's tokens see of its last `seen`, ``[new * repeat, seen]``; None if that is all. Each stands
        there `repeat` times."""
        new = row.count
        if row.follows:
            return self._of_tree(row.follows, seen, window).repeat_interleave(repeat, 0)
        if new == 1 and (window is None or seen <= window):
            return None
        key = repeat, window
        if key not in self._whole:
            self._whole[key] = self._make(repeat, window)
        before = self._context - (seen - new)
        return self._whole[key][: new * repeat, before : self._context + new]

    def _of_tree(self, follows: tuple[int, ...], seen: int, window: int | None) -> torch.Tensor:
        """``[new, seen]``."""
        new, before = len(follows), seen - len(follows)
        depth = np.array(depths(follows))
        hidden = np.zeros((new, seen), dtype=bool)
        hidden[:, before:] = ~ancestors(follows)
        if window is not None:
            hidden |= depth[:, None] - np.concatenate((np.arange(-before, 0), depth)) >= window
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return mask.masked_fill_(torch.from_numpy(hidden).to(self._device), -torch.inf)

    def _make(self, repeat: int, window: int | None) -> torch.Tensor:
        token = torch.arange(QUERY, device=self._device)[:, None]
        other = torch.arange(-self._context, QUERY, device=self._device)
        hidden = other > token
        if window is not None:
            hidden |= other <= token - window
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device).masked_fill(hidden, -torch.inf)
        return mask.repeat_interleave(repeat, 0)


def aligned(mask: torch.Tensor | None) -> torch.Tensor | None:
    """The same mask, beginning where a CUDA device can read it.

    Its kernels want a multiple of 16 bytes; torch looks at the distance of rows alone (pytorch/pytorch#183484).
    """
    if mask is None or not mask.is_cuda or mask.data_ptr() % 16 == 0:
        return mask
    return mask.clone(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class How:
    """What a layer asks of attention.

    Attributes:
        scale: of the scores; None for one over the root of the head size.
        window: how far back a token looks, tokens; None is all the way.
        softcap: scores are bent to stay between minus and plus this (Gemma 2); None leaves them.
        sinks: of each head a score that takes part in the softmax and stands for no token ``[heads]`` (gpt-oss).
    """

    scale: float | None = None
    window: int | None = None
    softcap: float | None = None
    sinks: torch.Tensor | None = None

    def attention(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """``[B, kv heads, n * repeat, size]``, where the heads that share keys are neighbours in a token's place.

        The mask ``[n * repeat, seen]`` or ``[B, 1, n * repeat, seen]`` is added to the scores.
        """
        if self.softcap is None and self.sinks is None:
            return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=self.scale)
        scores = query @ keys.transpose(-1, -2) * (query.shape[-1] ** -0.5 if self.scale is None else self.scale)
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        scores = scores if mask is None else scores + mask
        if self.sinks is None:
            return scores.softmax(-1, dtype=torch.float32).to(query.dtype) @ values
        heads = self.sinks.view(keys.shape[1], 1, -1).to(scores.dtype)
        sinks = heads.expand(-1, query.shape[2] // heads.shape[2], -1).flatten(1)[None, :, :, None]
        weights = torch.cat((scores, sinks.expand(len(scores), -1, -1, -1)), -1).softmax(-1, dtype=torch.float32)
        return weights[..., :-1].to(query.dtype) @ values


class _Together:
    """Rows that share a call: copied side by side, and padded to the largest."""

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self.rows = rows
        self.new, self.seen = max(row.count for row in rows), max(row.seen for row in rows)
        # Padding repeats what is there: first keys, which the mask hides, and last tokens, whose result is dropped.
        column = np.arange(self.seen)
        keys = np.stack([np.where(column < row.seen, row.first + column, row.first) for row in rows])
        take = np.stack([np.minimum(row.begin + np.arange(self.new), row.end - 1) for row in rows])
        self.keys, self.take = (torch.from_numpy(index.reshape(-1)).to(device) for index in (keys, take))
        self.device = device

    def mask(self, masks: Masks, repeat: int, window: int | None) -> torch.Tensor:
        """``[rows, 1, new * repeat, seen]``."""
        out = torch.full((len(self.rows), self.new * repeat, self.seen), -torch.inf, device=self.device)
        out[:, :, 0] = 0  # padding must see something
        for one, row in zip(out, self.rows, strict=True):
            seen = masks.of(row, row.seen, repeat, window)
            one[: row.count * repeat, : row.seen] = 0 if seen is None else seen
        return out[:, None]


class Packed:
    """One pass: who attends to what.

    Args:
        rows: of the pass in order of the line; each of at most `QUERY` tokens.
        costs: decide which rows share a call.
    """

    def __init__(self, rows: Sequence[Row], masks: Masks, costs: Costs, device: torch.device) -> None:
        self._masks = masks
        self._made: dict[tuple[int, int, int | None], torch.Tensor] = {}
        self._views: dict[tuple[int, int, int | None], torch.Tensor | None] = {}
        self._calls: list[Row | _Together] = []
        groups = grouped([(row.count, row.seen) for row in rows], costs)
        if len(groups) == len(rows):
            self._calls, self._back = list(rows), None
            return
        back, done = np.empty(rows[-1].end, dtype=np.int64), 0
        for group in groups:
            members = [rows[i] for i in group]
            new = members[0].count if len(members) == 1 else max(row.count for row in members)
            for row in members:
                back[row.begin : row.end] = done + np.arange(row.count)
                done += new
            self._calls.append(members[0] if len(members) == 1 else _Together(members, device))
        self._back = torch.from_numpy(back).to(device)

    def attend(self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, how: How) -> torch.Tensor:
        """Attention of a line ``[1, heads, N, size]`` to arenas ``[capacity, kv heads, size]``; N comes first in it."""
        window = how.window
        heads, kv_heads = query.shape[1], keys.shape[1]
        repeat = heads // kv_heads
        # Heads that share their keys become more tokens of one head, so that these keys are read once.
        line = query[0].unflatten(0, (kv_heads, repeat)).transpose(1, 2)
        flat = line.flatten(1, 2)
        pieces = []
        for call in self._calls:
            if isinstance(call, Row):
                first = call.first if window is None else max(call.first, call.last - window - call.count + 1)
                piece = how.attention(
                    flat[None, :, call.begin * repeat : call.end * repeat],
                    keys[None, first : call.last].transpose(1, 2),
                    values[None, first : call.last].transpose(1, 2),
                    self._row_mask(call, call.last - first, repeat, window),
                )
            else:
                split = (len(call.rows), -1)
                piece = how.attention(
                    line.index_select(1, call.take).unflatten(1, split).transpose(0, 1).flatten(2, 3),
                    keys.index_select(0, call.keys).unflatten(0, split).transpose(1, 2),
                    values.index_select(0, call.keys).unflatten(0, split).transpose(1, 2),
                    self._mask(call, repeat, window).to(query.dtype),
                )
            pieces.append(piece.transpose(1, 2).flatten(0, 1))
        out = torch.cat(pieces).unflatten(0, (-1, repeat))
        if self._back is not None:
            out = out.index_select(0, self._back)
        return out.transpose(1, 2).flatten(1, 2)[None]

    def _row_mask(self, call: Row, seen: int, repeat: int, window: int | None) -> torch.Tensor | None:
        key = id(call), repeat, window
        if key not in self._views:
            self._views[key] = aligned(self._masks.of(call, seen, repeat, window))
        return self._views[key]

    def _mask(self, call: _Together, repeat: int, window: int | None) -> torch.Tensor:
        key = id(call), repeat, window
        if key not in self._made:
            self._made[key] = call.mask(self._masks, repeat, window)
        return self._made[key]


_now = threading.local()


@contextmanager
def attending(packed: Packed) -> Iterator[None]:
    """Models that run in this block and thread attend as `packed` says."""
    _now.packed = packed
    try:
        yield
    finally:
        _now.packed = None


def _attention(
    module, query, key, value, attention_mask, scaling=None, sliding_window=None, softcap=None, s_aux=None, **others
):
    strange = sorted(name for name, given in others.items() if given is not None and name not in _IDLE)
    if strange:
        raise NotImplementedError(f"attention with {', '.join(strange)}")
    how = How(_gpt2_scale(module, query) if scaling is None else scaling, sliding_window, softcap, s_aux)
    packed = getattr(_now, "packed", None)
    if packed is not None:
        return packed.attend(query, key, value, how), None
    if softcap is not None or s_aux is not None:
        raise NotImplementedError("attention with softcap or s_aux outside a packed pass")
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=how.scale)


def _gpt2_scale(module, query) -> float | None:
    """GPT-2 and its kin say nothing of their scale: only their own attention looks at these switches."""
    if not hasattr(module, "scale_attn_weights"):
        return None
    scale = query.shape[-1] ** -0.5 if module.scale_attn_weights else 1.0
    return scale / (module.layer_idx + 1) if getattr(module, "scale_attn_by_inverse_layer_idx", False) else scale


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
