"""What the counters of one text have to say about the pace, since they were read last."""

from __future__ import annotations

from typing import Protocol

from edge_client.auto.pace import Pace
from edge_client.usage.meter import Meter
from shared.config import Mode


class Drafted(Protocol):
    """What a drafter counts."""

    draft_ns: int
    verifier_ns: int
    drafted: int


class Readings:
    """Tells a pace what a text's drafter and meter have counted."""

    def __init__(self, pace: Pace, drafter: Drafted, meter: Meter) -> None:
        self._pace, self._drafter, self._meter = pace, drafter, meter
        self._before = 0, 0

    def read(self, mode: Mode) -> None:
        """What was counted since the last time is of this mode."""
        now = self._drafter.draft_ns + self._drafter.verifier_ns, self._drafter.drafted
        nanoseconds, drafted = (a - b for a, b in zip(now, self._before, strict=True))
        self._before = now
        self._pace.drafted(nanoseconds / 1e9, drafted)
        self._pace.passed(mode, self._meter.steps)
        self._meter.steps.clear()
        while self._meter.trips:
            self._pace.travelled(self._meter.trips.popleft())
