"""What was made for several tenants, kept within one bound: whoever has most of it loses the first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Values by tenant and key, at most so many in all; those used longest ago go first.

    Where there are too many, the tenant that has most gives up one: so one that has no more than its equal share of all
    loses nothing to others, whatever they ask for. Where several have most, the one that used one of its own last
    longest ago does. What one tenant has, no other finds: how soon it comes would tell what others ask for.

    Args:
        most: values in all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, OrderedDict[str, T]] = OrderedDict()  # the tenants used longest ago first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, tenant: str, key: str) -> T | None:
        """A tenant's value, which is the one used last from now on."""
        own = self._kept.get(tenant)
        if own is None or key not in own:
            return None
        own.move_to_end(key)
        self._kept.move_to_end(tenant)
        return own[key]

    def put(self, tenant: str, key: str, value: T) -> None:
        """Keep a value, and no more than there may be."""
        own = self._kept.setdefault(tenant, OrderedDict())
        self._count += key not in own
        own[key] = value
        own.move_to_end(key)
        self._kept.move_to_end(tenant)
        while self._count > self._most:
            crowd = max(self._kept, key=lambda each: len(self._kept[each]))
            self._kept[crowd].popitem(last=False)
            self._count -= 1
            if not self._kept[crowd]:
                del self._kept[crowd]
