"""What each tenant has at work: who uses most room, and which of its texts is the largest."""

from __future__ import annotations

from collections import Counter

from cloud_target.server.lease import Lease


class Crowds:
    """The leases at work, by tenant and size. No method walks over all of them: sizes are few, as room is given in
    blocks, and a text has at most its context."""

    def __init__(self) -> None:
        self._rooms: Counter[str] = Counter()
        self._sizes: dict[str, dict[int, dict[Lease, None]]] = {}  # of equal ones, the oldest first

    def __contains__(self, tenant: str) -> bool:
        return tenant in self._sizes

    def add(self, lease: Lease) -> None:
        """It is at work from now on, and keeps its size."""
        tenant, size = lease.session.tenant, lease.session.allocated
        self._rooms[tenant] += size
        self._sizes.setdefault(tenant, {}).setdefault(size, {})[lease] = None

    def remove(self, lease: Lease) -> None:
        """It is at work no more, and has the size that it had."""
        tenant, size = lease.session.tenant, lease.session.allocated
        self._rooms[tenant] -= size
        sizes = self._sizes[tenant]
        del sizes[size][lease]
        if not sizes[size]:
            del sizes[size]
        if not sizes:
            del self._sizes[tenant], self._rooms[tenant]

    def largest(self) -> Lease | None:
        """The largest text of the tenant that uses most room; None where nobody is at work."""
        if not self._rooms:
            return None
        sizes = self._sizes[self._rooms.most_common(1)[0][0]]
        return next(iter(sizes[max(sizes)]))
