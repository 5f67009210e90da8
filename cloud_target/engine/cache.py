"""The slot cache: keys and values of several texts side by side, where the index of a token is its position.

Rolling back is writing over, forgetting a text is reusing its slot, and texts of different lengths run in one pass,
because an explicit mask says what each token may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import Cache, PreTrainedModel

from shared.errors import InputError


@dataclass(frozen=True)
class Placement:
    """Where the tokens of one forward pass go; B rows of T tokens, shorter ones padded on the left.

    Attributes:
        slots: of each row.
        starts: position of each row's first token.
        lengths: how many tokens each row has; T is the largest.
        positions: of each token, ``int64 [B, T]``; padding is given the spare index `context`.
        end: as many positions as any row may look at.
    """

    slots: tuple[int, ...]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    positions: torch.Tensor
    end: int

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int]], context: int, device: torch.device) -> Placement:
        """The placement of rows given as (slot, start, length)."""
        slots, starts, lengths = zip(*rows, strict=True)
        width = max(lengths)
        positions = torch.full((len(rows), width), context)
        for row, (_, start, length) in enumerate(rows):
            positions[row, width - length :] = torch.arange(start, start + length)
        end = max(start + length for _, start, length in rows)
        return cls(slots, starts, lengths, positions.to(device), end)


class SlotCache(Cache):
    """Keys and values ``[slots, heads, context + 1, head size]`` a layer, as transformers' models write and read them.

    Set `placement` before each pass. The last index is spare: padding is written there and nobody looks.
    """

    def __init__(self, slots: int, context: int) -> None:
        super().__init__(layers=[])
        self.slots, self.context = slots, context
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}
        self.placement: Placement | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object):
        """Write the new keys and values ``[B, heads, T, head size]``; give back all that the rows may look at."""
        if layer_idx not in self._keys:
            self._keys[layer_idx] = self._allocate(key_states)
            self._values[layer_idx] = self._allocate(value_states)
        return self._place(self._keys[layer_idx], key_states), self._place(self._values[layer_idx], value_states)

    def _place(self, held: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        at = self.placement
        if len(at.slots) == 1:
            slot, start = at.slots[0], at.starts[0]
            held[slot, :, start : at.end] = new[0]
            return held[slot : slot + 1, :, : at.end]
        slots = torch.tensor(at.slots, device=held.device)
        held[slots[:, None], :, at.positions] = new.transpose(1, 2)
        first, last = at.slots[0], at.slots[-1]
        if at.slots == tuple(range(first, last + 1)):
            return held[first : last + 1, :, : at.end]
        return held[slots, :, : at.end]

    def _allocate(self, states: torch.Tensor) -> torch.Tensor:
        _, heads, _, size = states.shape
        shape = (self.slots, heads, self.context + 1, size)
        try:
            return torch.zeros(shape, dtype=states.dtype, device=states.device)
        except RuntimeError as error:
            raise InputError(
                f"no room on {states.device} for the cache of {self.slots} texts of {self.context} tokens; "
                "use fewer --slots or a shorter --context"
            ) from error

    # The rest is asked by some models for masks of their own, which an explicit 4-D mask makes needless.

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def get_mask_sizes(self, *_: object) -> tuple[int, int]:
        return self.placement.end, 0

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        return self.context

    get_max_length = get_max_cache_shape

    @property
    def is_sliding(self) -> list[bool]:
        return [False]

    @property
    def is_compileable(self) -> bool:
        return False

    @property
    def is_initialized(self) -> bool:
        return True


class MaskMaker:
    """Says which index each token may look at, in the form that a model takes.

    Layers with a sliding window see the last tokens only; the cache holds all the same, so cutting back still works.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        window = getattr(config, "sliding_window", None)
        self._window = window if not kinds or "sliding_attention" in kinds else None
        self._mixed = len(kinds) > 1
        # Eager attention adds the mask to the scores; the others take it as it is.
        self._additive = model.dtype if model.config._attn_implementation == "eager" else None

    def make(self, cache: SlotCache) -> torch.Tensor | dict[str, torch.Tensor]:
        """The mask for the cache's present placement, ``[B, 1, T, end]``, or one for each kind of layer."""
        if self._mixed:
            return {"full_attention": self._mask(cache, None), "sliding_attention": self._mask(cache, self._window)}
        return self._mask(cache, self._window)

    def _mask(self, cache: SlotCache, window: int | None) -> torch.Tensor:
        at = cache.placement
        positions = at.positions[:, None, :, None]
        index = torch.arange(at.end, device=at.positions.device)
        seen = index <= positions
        if window is not None:
            # Padding sits at the spare index, where its window may hold nothing: let it see something.
            seen &= (index > positions - window) | (positions == cache.context)
        if self._additive is None:
            return seen
        lowest = torch.finfo(self._additive).min
        return torch.zeros(seen.shape, dtype=self._additive, device=seen.device).masked_fill(~seen, lowest)
