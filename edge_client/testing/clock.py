"""A clock for tests: patience is used up and pauses are taken without anybody waiting."""

from __future__ import annotations

from threading import Lock


class ManualClock:
    """Time that passes only where somebody sleeps; an `edge_client.target.retry.Clock`. Threads may share one.

    Attributes:
        time: seconds since it was made.
    """

    def __init__(self) -> None:
        self.time = 0.0
        self._lock = Lock()

    def now(self) -> float:
        """Seconds since it was made."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, at once."""
        with self._lock:
            self.time += seconds
