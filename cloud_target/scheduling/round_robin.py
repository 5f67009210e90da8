"""Round robin: a queue in which tenants take turns, one item of each, however many any of them has waiting."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_NOBODY: Any = object()


class RoundRobin(Generic[T]):
    """Items in order of arrival within a tenant, and one after the other between tenants.

    Items are hashable, and none is in it twice. What is done to one costs the same however many there are.
    """

    def __init__(self) -> None:
        # Whose turn is next stands first; no queue is empty. Of their entries the keys alone are meant: an ordered dict
        # gives up any of its entries, and knows its first one, without looking at the others.
        self._queues: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        """The items in the order in which they would be taken, if none came."""
        for turn in zip_longest(*self._queues.values(), fillvalue=_NOBODY):
            yield from (item for item in turn if item is not _NOBODY)

    def add(self, tenant: str, item: T) -> None:
        """Put an item behind the others of its tenant."""
        self._queues.setdefault(tenant, OrderedDict())[item] = None
        self._count += 1

    def add_first(self, tenant: str, item: T) -> None:
        """Put an item before the others of its tenant, whose next turn is after that of all others."""
        queue = self._queues.setdefault(tenant, OrderedDict())
        queue[item] = None
        queue.move_to_end(item, last=False)
        self._queues.move_to_end(tenant)
        self._count += 1

    def peek(self) -> T | None:
        """The item whose turn it is, None if there is none."""
        return next(iter(next(iter(self._queues.values())))) if self._queues else None

    def take(self) -> T:
        """Remove and return the item whose turn it is; its tenant goes to the end."""
        tenant, queue = next(iter(self._queues.items()))
        item = next(iter(queue))
        self.take_out(tenant, item)
        return item

    def take_out(self, tenant: str, item: T) -> None:
        """Remove an item wherever it stands, as if it were its turn: its tenant goes to the end."""
        queue = self._queues[tenant]
        del queue[item]
        self._count -= 1
        if queue:
            self._queues.move_to_end(tenant)
        else:
            del self._queues[tenant]

    def discard(self, tenant: str, item: T) -> bool:
        """Remove an item wherever it stands; returns whether it was there."""
        queue = self._queues.get(tenant)
        if queue is None or item not in queue:
            return False
        del queue[item]
        self._count -= 1
        if not queue:
            del self._queues[tenant]
        return True

    def tenants(self) -> Iterator[str]:
        """Those that have items, whose turn is next first."""
        return iter(self._queues)

    def counts(self) -> Counter[str]:
        """How many items each tenant has."""
        return Counter({tenant: len(queue) for tenant, queue in self._queues.items()})

    def last(self, tenant: str) -> T | None:
        """The item of a tenant that stands behind its others, None if it has none."""
        queue = self._queues.get(tenant)
        return next(reversed(queue)) if queue else None

    def check_integrity(self) -> None:
        """Raise AssertionError if an empty queue was kept, or the count is wrong."""
        if not all(self._queues.values()) or self._count != sum(map(len, self._queues.values())):
            raise AssertionError(f"{self._count} items counted in queues of {list(map(len, self._queues.values()))}")
