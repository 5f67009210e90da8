"""Ends a process whose Python does not run any more, as something keeps the interpreter's lock for ever."""

from __future__ import annotations

import faulthandler
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds beyond what is allowed: so long Python may have to wait for its turn on a busy machine.
GRACE = 5.0


@contextmanager
def heartbeat(limit: float) -> Iterator[Callable[[], None]]:
    """Yields what is to be called again and again for as long as the block lasts; where that has not happened for so
    long, and `GRACE`, the process ends with status 1.

    No thread of Python could see to that. This one is written in C, needs no lock, and writes where all threads are to
    standard error before it ends the process.

    Args:
        limit: seconds; `inf` never ends it.
    """
    if not math.isfinite(limit):
        yield lambda: None
        return
    file = _unwaiting_error()

    def beat() -> None:
        faulthandler.dump_traceback_later(limit + GRACE, exit=True, file=file)

    beat()
    try:
        yield beat
    finally:
        faulthandler.cancel_dump_traceback_later()
        os.close(file)


def _unwaiting_error() -> int:
    """Standard error, opened once more so that nobody who writes to it waits for a reader; the bin where that cannot
    be, for it matters more that the process ends."""
    how = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open("/proc/self/fd/2", how)
    except OSError:
        return os.open(os.devnull, how)
