"""What each connection may have at once of something, whatever all others do."""

from __future__ import annotations

import asyncio
from collections import OrderedDict


class Rations:
    """So many together, and then one every so often, of each connection. Use inside one event loop.

    Args:
        together: of one connection, after a pause.
        pace: seconds between two of one connection, on average.
    """

    def __init__(self, together: int = 2, pace: float = 0.5) -> None:
        self._together, self._pace = together, pace
        # When each has its full ration again, by connection; whoever asked first, first.
        self._full: OrderedDict[str, float] = OrderedDict()

    def take(self, peer: str) -> bool:
        """Whether this connection may have one now.

        Args:
            peer: its name. Nothing is kept of one that has its full ration again.
        """
        now = asyncio.get_running_loop().time()
        while self._full and next(iter(self._full.values())) <= now:
            self._full.popitem(last=False)
        full = max(now, self._full.get(peer, now)) + self._pace
        if full > now + self._together * self._pace:
            return False
        self._full[peer] = full
        self._full.move_to_end(peer)
        return True
