"""Items in order of arrival: the first that counts, and what the first few weigh, without walking over them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
_LEAST = 8


class Ranks(Generic[T]):
    """Items in order of arrival, each with a weight, and each either counting or not.

    A binary tree over the order (a segment tree) knows of every part of it how many items there are, how many of them
    count, and what they weigh, so every method takes logarithmic time. Items that left keep their leaves until the tree
    is full; then it is made anew for those that are left.
    """

    def __init__(self) -> None:
        self._leaves: dict[T, int] = {}
        self._make(())

    def __len__(self) -> int:
        return len(self._leaves)

    def add(self, item: T, weight: int, counts: bool) -> None:
        """Put an item behind all others."""
        if self._next == self._size:
            self._make([(each, *self._of(leaf)) for each, leaf in self._leaves.items()])
        self._leaves[item] = self._next
        self._items[self._next] = item
        self._next += 1
        self._put(self._leaves[item], 1, weight, counts)

    def change(self, item: T, weight: int, counts: bool) -> None:
        """Give an item another weight, or let it count or not, where it stands."""
        self._put(self._leaves[item], 1, weight, counts)

    def remove(self, item: T) -> None:
        """Take an item out, wherever it stands."""
        leaf = self._leaves.pop(item)
        self._items[leaf] = None
        self._put(leaf, 0, 0, False)

    def first(self) -> tuple[T, int] | None:
        """The first item that counts, and how many stand before it; None where none counts."""
        if not self._counting[1]:
            return None
        node, before = 1, 0
        while node < self._size:
            node *= 2
            if not self._counting[node]:
                before += self._present[node]
                node += 1
        item = self._items[node - self._size]
        if item is None:
            raise AssertionError("an item counts that is not there")
        return item, before

    def weight_of_first(self, items: int) -> int:
        """What so many items weigh together, from the first on, or all where there are no more."""
        if items >= self._present[1]:
            return self._weight[1]
        node, weight = 1, 0
        while node < self._size:
            node *= 2
            if self._present[node] <= items:
                items -= self._present[node]
                weight += self._weight[node]
                node += 1
        return weight

    def _make(self, items: Iterable[tuple[T, int, bool]]) -> None:
        """A tree with these items, and with leaves for as many again."""
        found = list(items)
        self._size = _LEAST
        while self._size < 2 * len(found):
            self._size *= 2
        # Node 1 is the root, those below node n are 2n and 2n + 1, and leaf i is node size + i.
        self._present, self._counting, self._weight = ([0] * (2 * self._size) for _ in range(3))
        self._items: list[T | None] = [None] * self._size
        self._next = 0
        for leaf, (item, weight, counts) in enumerate(found):
            self._leaves[item], self._items[leaf] = leaf, item
            node = self._size + leaf
            self._present[node], self._counting[node], self._weight[node] = 1, int(counts), weight
            self._next += 1
        for node in range(self._size - 1, 0, -1):
            self._sum(node)

    def _of(self, leaf: int) -> tuple[int, bool]:
        return self._weight[self._size + leaf], bool(self._counting[self._size + leaf])

    def _put(self, leaf: int, present: int, weight: int, counts: bool) -> None:
        node = self._size + leaf
        self._present[node], self._counting[node], self._weight[node] = present, int(counts), weight
        while node := node // 2:
            self._sum(node)

    def _sum(self, node: int) -> None:
        left, right = 2 * node, 2 * node + 1
        self._present[node] = self._present[left] + self._present[right]
        self._counting[node] = self._counting[left] + self._counting[right]
        self._weight[node] = self._weight[left] + self._weight[right]
