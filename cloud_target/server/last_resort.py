"""The end of a process that does not end by itself."""

from __future__ import annotations

import logging
import os
import signal
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cloud_target.server.watchdog import stacks
from cloud_target.telemetry.logs import write_the_rest

log = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class LastResort:
    """Ends the process from a thread of its own when its time is over, whatever the event loop and others do then."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def arm(self, seconds: float, status: int) -> None:
        """End the process with this status after so long, unless it was armed before."""
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


@contextmanager
def hearing(loop: AbstractEventLoop, heard: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Tell of the first signal; a second one ends the process at once, whatever hangs in it.

    Args:
        heard: called in the event loop.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def hear(first: signal.Signals) -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            # The system itself ends the process then: not even Python's own lock is waited for. Only the first process
            # of a container it does not end so.
            signal.signal(number, _at_once if os.getpid() == 1 else signal.SIG_DFL)
        heard(first)

    for number in SIGNALS:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _at_once(number: int, _: object) -> None:
    os._exit(128 + number)
