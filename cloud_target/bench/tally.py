"""What was measured: counts, and times in compact arrays."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.wire.v1 import target_pb2 as wire

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Spread:
    """How times are spread, seconds."""

    count: int
    p50: float
    p90: float
    p99: float
    longest: float

    @classmethod
    def of(cls, times: array) -> Spread | None:
        """That of these times; None if there are none."""
        if not times:
            return None
        values = np.frombuffer(times, dtype=np.float64)
        p50, p90, p99 = (float(value) for value in np.percentile(values, PERCENTILES))
        return cls(len(values), p50, p90, p99, float(values.max()))


class Tally:
    """Filled by the edges; all of them run in one event loop.

    Attributes:
        answers: time to answer by kind of call, seconds; see `report.KINDS`.
        queue, forward: what the target said of its own time in each answer, seconds.
        judged: tokens that the target judged or audited.
        written: tokens that the target wrote.
        calls: answered requests; tokens that are streamed are not counted here.
        texts: finished.
        abandoned: texts of these, whose sessions were left to the target.
        resyncs: answers that asked for more of the text.
        differing: own tokens of the target that are not those of the recording.
        errors: by gRPC status and reason.
    """

    def __init__(self, most_calls: int | None, full: Callable[[], None]) -> None:
        self.answers: defaultdict[str, array] = defaultdict(lambda: array("d"))
        self.queue, self.forward = array("d"), array("d")
        self.judged = self.written = self.calls = self.texts = self.abandoned = self.resyncs = self.differing = 0
        self.errors: Counter[str] = Counter()
        self._most_calls = most_calls
        self._full = full

    def answered(self, kind: str, seconds: float) -> None:
        """One request was answered; tells whoever waits when that were enough of them."""
        self.answers[kind].append(seconds)
        self.calls += 1
        if self.calls == self._most_calls:
            self._full()

    def timed(self, timing: wire.Timing) -> None:
        """The target's own account of one answer."""
        self.queue.append(timing.queue_us / 1e6)
        self.forward.append(timing.forward_us / 1e6)
