"""How long things take, in words for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def duration(seconds: float) -> str:
    """ "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class TimeLeft:
    """How long the rest of some work takes, from what is done of it.

    Args:
        total: of the work, in any unit.
        rate: tries how much of it is done in a second, for as long as nothing is.
    """

    def __init__(self, total: float, rate: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._rate, self._clock = total, rate, clock
        self._reached = self._worked = self._spent = 0.0

    @contextmanager
    def doing(self, amount: float) -> Iterator[None]:
        """So much of the work is done in this block."""
        started = self._clock()
        yield
        self._worked += amount
        self._spent += self._clock() - started

    def reach(self, amount: float) -> None:
        """So much of the work is behind us, done now or before."""
        self._reached = amount

    def __str__(self) -> str:
        rate = self._worked / self._spent if self._spent else self._rate()
        return duration(max(self._total - self._reached, 0) / rate)
