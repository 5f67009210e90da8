"""The memory for keys and values: one arena a layer, in which each text has an allocation that grows with it.

A text's keys lie side by side in the order of its positions, so a pass can read them where they are. Texts come and go
in any order; when the gaps between them are too small for another one, all are moved together, which costs one copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from shared.errors import InputError

# Heads and size of a head.
Shape = tuple[int, int]


@dataclass
class Allocation:
    """Where a text is: arena indices ``[offset, offset + size)``, of which the first `held` were written."""

    offset: int
    size: int
    held: int = 0


class KvStore:
    """Keys and values of many texts, ``[capacity, heads, head size]`` a layer. Used from one thread.

    Args:
        shapes: of keys and of values, for each layer.
        capacity: tokens in all; rounded down to whole blocks.
        block: allocations are whole blocks of so many tokens.

    Raises:
        InputError: there is no memory for it.
    """

    def __init__(
        self, shapes: Sequence[tuple[Shape, Shape]], capacity: int, block: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.capacity, self.block = capacity // block * block, block
        self.token_bytes = token_bytes(shapes, dtype)
        try:
            # Not zeros: so a CPU's memory is taken as it is used. What was not written is never looked at.
            self.keys, self.values = (
                [torch.empty(self.capacity, *pair[which], dtype=dtype, device=device) for pair in shapes]
                for which in (0, 1)
            )
        except RuntimeError as error:
            raise InputError(
                f"there is no memory on {device} for {self.capacity * self.token_bytes} bytes of keys and values; "
                "use a smaller --kv-memory"
            ) from error
        self._arenas = [*self.keys, *self.values]
        self._allocations: dict[int, Allocation] = {}

    def __getitem__(self, slot: int) -> Allocation:
        return self._allocations[slot]

    def reserve(self, slot: int, tokens: int) -> Allocation:
        """The allocation of a slot, made or moved so that it has room for a text of so many tokens.

        Raises:
            ValueError: all texts together need more than there is; whoever calls must keep count.
        """
        size = -(-tokens // self.block) * self.block
        old = self._allocations.get(slot)
        if old is not None and (old.size >= size or self._grows_in_place(old, size)):
            old.size = max(old.size, size)
            return old
        others = sum(allocation.size for allocation in self._allocations.values()) - (old.size if old else 0)
        if others + size > self.capacity:
            raise ValueError(f"{others + size} tokens do not fit in a cache of {self.capacity}")
        held = old.held if old else 0
        offset = self._gap(size, without=slot)
        if offset is None:
            # The one step that needs memory comes first: if there is none, nothing has changed.
            saved = [arena[old.offset : old.offset + held].clone() for arena in self._arenas] if old else []
            self._allocations.pop(slot, None)
            offset = self._compact()
            for arena, kept in zip(self._arenas, saved, strict=False):
                arena[offset : offset + held] = kept
        elif old:
            self._move(old.offset, offset, held)
        new = self._allocations[slot] = Allocation(offset, size, held)
        return new

    def trim(self, slot: int, tokens: int) -> None:
        """Keep only the first tokens of a slot, and none of a slot with 0; unknown ones are no error."""
        if tokens == 0:
            self._allocations.pop(slot, None)
        elif (allocation := self._allocations.get(slot)) is not None:
            allocation.size = min(allocation.size, -(-tokens // self.block) * self.block)
            allocation.held = min(allocation.held, tokens)

    def follow(self, slot: int, end: int, positions: Sequence[int]) -> None:
        """Let a text end with the tokens at these growing positions, behind its first `end` ones.

        Raises:
            ValueError: the slot holds less.
        """
        allocation = self[slot]
        if max((end - 1, *positions)) >= allocation.held:
            raise ValueError(f"slot {slot} does not hold what is at places {list(positions)}")
        moved = [(position, end + i) for i, position in enumerate(positions) if position != end + i]
        if moved:
            source, target = (torch.tensor(moved, device=self.keys[0].device) + allocation.offset).unbind(1)
            for arena in self._arenas:
                arena.index_copy_(0, target, arena.index_select(0, source))
        allocation.held = end + len(positions)

    def copy(self, source: int, target: int, count: int) -> None:
        """Let `target` begin with the first `count` tokens of `source`, and hold nothing else.

        Raises:
            ValueError: the source holds less.
        """
        if source == target or self[source].held < count:
            raise ValueError(f"slot {source} cannot lend {count} tokens to slot {target}")
        allocation = self.reserve(target, count)
        self._move(self[source].offset, allocation.offset, count)
        allocation.held = count

    def _sorted(self, without: int | None = None) -> list[Allocation]:
        allocations = (allocation for slot, allocation in self._allocations.items() if slot != without)
        return sorted(allocations, key=lambda allocation: allocation.offset)

    def _grows_in_place(self, allocation: Allocation, size: int) -> bool:
        end = min((e.offset for e in self._allocations.values() if e.offset > allocation.offset), default=self.capacity)
        return allocation.offset + size <= end

    def _gap(self, size: int, without: int) -> int | None:
        """Where so many tokens are free but for one slot: the first such place, so that texts crowd at the front."""
        begin = 0
        for allocation in self._sorted(without):
            if allocation.offset - begin >= size:
                return begin
            begin = allocation.offset + allocation.size
        return begin if self.capacity - begin >= size else None

    def _compact(self) -> int:
        """Close all gaps; returns where the texts end now."""
        begin = 0
        for allocation in self._sorted():
            if allocation.offset != begin:
                self._move(allocation.offset, begin, allocation.held)
                allocation.offset = begin
            begin += allocation.size
        return begin

    def _move(self, source: int, target: int, count: int) -> None:
        """Copy tokens to another place; to one that overlaps only if that is before them. Takes no memory."""
        # In steps no longer than the distance none overlaps, and what is not yet read lies behind what is written.
        step = min(count, abs(source - target))
        for arena in self._arenas:
            for done in range(0, count, step or 1):
                end = min(done + step, count)
                arena[target + done : target + end] = arena[source + done : source + end]

    def check_integrity(self) -> None:
        """Raise AssertionError if allocations overlap, leave the arena, or hold more than they have room for."""
        begin = 0
        for allocation in self._sorted():
            if allocation.offset < begin or allocation.size % self.block or not 0 <= allocation.held <= allocation.size:
                raise AssertionError(f"{allocation} behind an end at {begin}")
            begin = allocation.offset + allocation.size
        if begin > self.capacity:
            raise AssertionError(f"allocations end at {begin} of {self.capacity}")


def token_bytes(shapes: Sequence[tuple[Shape, Shape]], dtype: torch.dtype) -> int:
    """Bytes of keys and values of one token, all layers."""
    return sum(heads * size for pair in shapes for heads, size in pair) * dtype.itemsize
