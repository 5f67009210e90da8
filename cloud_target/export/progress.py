"""Telling how far something has come that takes more than some seconds."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

# Seconds until something is told, and between two such lines.
BETWEEN = 2.0


class Progress:
    """Counts towards a total, and tells of it every two seconds.

    Args:
        tell: is given a line.
        what: is being done, such as "weights written".
        total: that is counted to, in whatever unit.
        now: seconds.
    """

    def __init__(
        self, tell: Callable[[str], None], what: str, total: int, now: Callable[[], float] = monotonic
    ) -> None:
        self._tell, self._what, self._total, self._now = tell, what, total, now
        self._done, self._told = 0, now()

    def __call__(self, more: int) -> None:
        """So much more is done."""
        self._done += more
        if self._now() - self._told >= BETWEEN and self._done < self._total:
            self._told = self._now()
            self._tell(f"{self._what}: {self._done / self._total:.0%}")
