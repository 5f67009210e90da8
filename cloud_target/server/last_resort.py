"""The end of a process that does not end by itself."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cloud_target.server.watchdog import stacks
from cloud_target.telemetry.logs import write_the_rest

log = logging.getLogger(__name__)


class LastResort:
    """Ends the process from a thread of its own when its time is over, whatever the event loop and others do then."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._arming = threading.Lock()

    def arm(self, seconds: float, status: int) -> None:
        """End the process with this status after so long, unless it was armed before. From any thread."""
        with self._arming:
            if self._timer is None:
                self._timer = threading.Timer(seconds, self._end, (status,))
                self._timer.daemon = True
                self._timer.start()

    def disarm(self) -> None:
        """The process ends by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, status: int) -> None:
        log.error("the server did not end in time, and is ended; where all threads are:\n%s", stacks())
        write_the_rest()
        os._exit(status)


@contextmanager
def last_resort() -> Iterator[LastResort]:
    """One for as long as the block lasts."""
    resort = LastResort()
    try:
        yield resort
    finally:
        resort.disarm()
