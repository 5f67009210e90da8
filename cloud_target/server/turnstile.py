"""How many strangers may be at something at once: what costs memory, and is done before anybody says who they are."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from shared.errors import TargetBusy

# After which a place may be free again, seconds.
SOON = 1.0
_FULL = "others ask for this now; try again in a moment"


class Turnstile:
    """Lets so many through at once, and of one connection so few that it takes many to keep others out.

    Args:
        most: in all.
        each: of one connection.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._inside: Counter[str] = Counter()

    @contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """A place for as long as the block lasts.

        Args:
            peer: the connection, as gRPC names it.

        Raises:
            TargetBusy: there is none.
        """
        if self._inside.total() >= self._most or self._inside[peer] >= self._each:
            raise TargetBusy(_FULL, SOON)
        self._inside[peer] += 1
        try:
            yield
        finally:
            self._inside[peer] -= 1
            self._inside += Counter()  # which forgets those with none


class RevolvingDoor:
    """A turnstile whose places are for moments: when all are taken, whoever came first goes, and the newest gets in.

    So those who mean to stay, however many they are, cannot keep out anybody who is done at once.

    Args:
        most: in all.
        each: of one connection.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._inside: OrderedDict[object, asyncio.Timeout] = OrderedDict()
        self._of: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, peer: str) -> AsyncIterator[None]:
        """A place for as long as the block lasts, or until so many came behind it.

        Args:
            peer: the connection, as gRPC names it.

        Raises:
            TargetBusy: there is none for this connection, or it went to somebody newer.
        """
        if self._of[peer] >= self._each:
            raise TargetBusy(_FULL, SOON)
        if len(self._inside) >= self._most:
            _, oldest = self._inside.popitem(last=False)
            oldest.reschedule(asyncio.get_running_loop().time())
        place = object()
        self._of[peer] += 1
        try:
            async with asyncio.timeout(None) as self._inside[place]:
                yield
        except TimeoutError:
            raise TargetBusy(_FULL, SOON) from None
        finally:
            self._inside.pop(place, None)
            self._of[peer] -= 1
            self._of += Counter()  # which forgets those with none
