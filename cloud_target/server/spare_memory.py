"""Memory that the C library keeps for later, given back to the system: it keeps what a flood of strangers has taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.resident import give_back as trim
from shared.resident import resident

# Bytes by which the process must have grown for it to be worth a look.
WORTH_IT = 32 << 20
# Looks after which what it has grown by is taken to be in use.
LOOKS = 60


class SpareMemory:
    """Gives back what is spare where the process has grown, until it is as small again or clearly will not be. One that
    does not grow is left alone.

    Args:
        size: bytes of this process.
        trim: gives back.
    """

    def __init__(self, size: Callable[[], int] = lambda: resident() or 0, trim: Callable[[], None] = trim) -> None:
        self._size, self._trim = size, trim
        self._least, self._looks = size(), 0

    def look(self) -> None:
        """To be called every few seconds."""
        now = self._size()
        if now <= self._least + WORTH_IT:
            self._least, self._looks = min(self._least, now), 0
            return
        self._trim()
        self._looks += 1
        if self._looks == LOOKS:
            self._least, self._looks = self._size(), 0


async def give_back(every: float = 5.0) -> None:
    """Look after the memory of this process for as long as nobody cancels it.

    Args:
        every: seconds between two looks.
    """
    spare = SpareMemory()
    while True:
        await asyncio.sleep(every)
        await asyncio.to_thread(spare.look)
