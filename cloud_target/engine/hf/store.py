"""The memory for keys and values: one arena a layer, in which each text has an extent that grows with it.

A text's keys lie side by side in the order of its positions, so a pass can read them where they are. Texts come and go
in any order; when the gaps between them are too small for an extent, all are moved together, which costs one copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from shared.errors import InputError

# Heads and size of a head.
Shape = tuple[int, int]


@dataclass
class Extent:
    """Where a text is: arena indices ``[offset, offset + capacity)``, of which the first `held` were written."""

    offset: int
    capacity: int
    held: int = 0


class KvStore:
    """Keys and values of many texts, ``[room, heads, head size]`` a layer. Used from one thread.

    Args:
        shapes: of keys and of values, for each layer.
        room: tokens in all; rounded down to whole blocks.
        block: extents are whole blocks of so many tokens.

    Raises:
        InputError: there is no memory for it.
    """

    def __init__(
        self, shapes: Sequence[tuple[Shape, Shape]], room: int, block: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.room, self.block = room // block * block, block
        self.token_bytes = token_bytes(shapes, dtype)
        try:
            # Not zeros: so a CPU's memory is taken as it is used. What was not written is never looked at.
            self.keys, self.values = (
                [torch.empty(self.room, *pair[part], dtype=dtype, device=device) for pair in shapes] for part in (0, 1)
            )
        except RuntimeError as error:
            raise InputError(
                f"no room on {device} for {self.room * self.token_bytes} bytes of keys and values; use a smaller "
                "--kv-memory"
            ) from error
        self._parts = [*self.keys, *self.values]
        self._extents: dict[int, Extent] = {}

    def __getitem__(self, slot: int) -> Extent:
        return self._extents[slot]

    def reserve(self, slot: int, tokens: int) -> Extent:
        """The extent of a slot, made or moved so that it has room for a text of so many tokens.

        Raises:
            ValueError: all texts together need more than there is; whoever calls must keep count.
        """
        capacity = -(-tokens // self.block) * self.block
        old = self._extents.get(slot)
        if old is not None and (old.capacity >= capacity or self._grows_in_place(old, capacity)):
            old.capacity = max(old.capacity, capacity)
            return old
        others = sum(extent.capacity for extent in self._extents.values()) - (old.capacity if old else 0)
        if others + capacity > self.room:
            raise ValueError(f"{others + capacity} tokens do not fit in a cache of {self.room}")
        held = old.held if old else 0
        offset = self._gap(capacity, without=slot)
        if offset is None:
            # The one step that needs memory comes first: if there is none, nothing has changed.
            saved = [part[old.offset : old.offset + held].clone() for part in self._parts] if old else []
            self._extents.pop(slot, None)
            offset = self._compact()
            for part, kept in zip(self._parts, saved, strict=False):
                part[offset : offset + held] = kept
        elif old:
            self._move(old.offset, offset, held)
        new = self._extents[slot] = Extent(offset, capacity, held)
        return new

    def trim(self, slot: int, tokens: int) -> None:
        """Keep only the first tokens of a slot, and none of a slot with 0; unknown ones are no error."""
        if tokens == 0:
            self._extents.pop(slot, None)
        elif (extent := self._extents.get(slot)) is not None:
            extent.capacity = min(extent.capacity, -(-tokens // self.block) * self.block)
            extent.held = min(extent.held, tokens)

    def copy(self, source: int, target: int, count: int) -> None:
        """Let `target` begin with the first `count` tokens of `source`, and hold nothing else.

        Raises:
            ValueError: the source holds less.
        """
        if source == target or self[source].held < count:
            raise ValueError(f"slot {source} cannot lend {count} tokens to slot {target}")
        extent = self.reserve(target, count)
        self._move(self[source].offset, extent.offset, count)
        extent.held = count

    def _sorted(self, without: int | None = None) -> list[Extent]:
        extents = (extent for slot, extent in self._extents.items() if slot != without)
        return sorted(extents, key=lambda extent: extent.offset)

    def _grows_in_place(self, extent: Extent, capacity: int) -> bool:
        end = min((e.offset for e in self._extents.values() if e.offset > extent.offset), default=self.room)
        return extent.offset + capacity <= end

    def _gap(self, capacity: int, without: int) -> int | None:
        """Where so many tokens are free but for one slot: the first such place, so that texts crowd at the front."""
        begin = 0
        for extent in self._sorted(without):
            if extent.offset - begin >= capacity:
                return begin
            begin = extent.offset + extent.capacity
        return begin if self.room - begin >= capacity else None

    def _compact(self) -> int:
        """Close all gaps; returns where the texts end now."""
        begin = 0
        for extent in self._sorted():
            if extent.offset != begin:
                self._move(extent.offset, begin, extent.held)
                extent.offset = begin
            begin += extent.capacity
        return begin

    def _move(self, source: int, target: int, count: int) -> None:
        """Copy tokens to another place; to one that overlaps only if that is before them. Takes no memory."""
        # In steps no longer than the distance none overlaps, and what is not yet read lies behind what is written.
        step = min(count, abs(source - target))
        for part in self._parts:
            for done in range(0, count, step or 1):
                end = min(done + step, count)
                part[target + done : target + end] = part[source + done : source + end]

    def check_integrity(self) -> None:
        """Raise AssertionError if extents overlap, leave the arena, or hold more than they have room for."""
        begin = 0
        for extent in self._sorted():
            if extent.offset < begin or extent.capacity % self.block or not 0 <= extent.held <= extent.capacity:
                raise AssertionError(f"{extent} behind an end at {begin}")
            begin = extent.offset + extent.capacity
        if begin > self.room:
            raise AssertionError(f"extents end at {begin} of {self.room}")


def token_bytes(shapes: Sequence[tuple[Shape, Shape]], dtype: torch.dtype) -> int:
    """Bytes of keys and values of one token, all layers."""
    return sum(heads * size for pair in shapes for heads, size in pair) * dtype.itemsize
