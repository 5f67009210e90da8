"""Sessions that nobody has asked about for long: what they hold of a text in the cache is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite

from cloud_target.server.sweeping import keep_sweeping

# Looks at what is idle within the limit, and the most seconds between two.
_LOOKS, _SELDOM = 4, 30.0


def _now() -> float:
    return asyncio.get_running_loop().time()


class IdleSessions:
    """Knows since when sessions are idle: nobody asks about them, or waits to. Runs inside one event loop.

    What is forgotten is what the cache holds. A place in the line for room is kept for as long as it is kept.

    Args:
        limit: seconds after which an idle one is forgotten; `inf` never forgets one.
        is_known: whether there still is such a session.
        forget: drops one.
        clock: seconds.
    """

    def __init__(
        self,
        limit: float,
        is_known: Callable[[bytes], bool],
        forget: Callable[[bytes], None],
        clock: Callable[[], float] = _now,
    ) -> None:
        self._limit, self._is_known, self._forget, self._clock = limit, is_known, forget, clock
        self._since: OrderedDict[bytes, float] = OrderedDict()  # idle for longest first
        self._in_use: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._since)

    @contextmanager
    def use(self, key: bytes) -> Iterator[None]:
        """A session is not idle for as long as the block lasts."""
        self._since.pop(key, None)
        self._in_use[key] += 1
        try:
            yield
        finally:
            self._in_use[key] -= 1
            if self._in_use[key] == 0:
                del self._in_use[key]
                if isfinite(self._limit):
                    self._since[key] = self._clock()

    def sweep(self) -> int:
        """Forget those that are idle for too long; how many those were. What is gone by itself is not kept in mind."""
        now = self._clock()
        over = [key for key, since in self._since.items() if now - since >= self._limit]
        known = [key for key in over if self._is_known(key)]
        for key in known:
            self._forget(key)
        for key in [*over, *(key for key in self._since if not self._is_known(key))]:
            self._since.pop(key, None)
        return len(known)

    async def keep_sweeping(self) -> None:
        """Sweep now and then for as long as nobody cancels it."""
        if isfinite(self._limit):
            await keep_sweeping("idle sessions", self.sweep, min(self._limit / _LOOKS, _SELDOM))
