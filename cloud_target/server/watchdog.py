"""Notices a forward pass that does not end: a device that hangs answers nobody, and raises nothing either."""

from __future__ import annotations

import logging
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Looks:
    """Counts how often in a row the same thing was seen.

    Args:
        most: after so many more looks at one thing it is taken to stay for ever.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: object | None = None
        self._again = 0

    def look(self, now: object | None) -> bool:
        """See what is there now, None for nothing; whether it stays for ever."""
        self._again = self._again + 1 if now is not None and now is self._seen else 0
        self._seen = now
        return self._again >= self._most


@contextmanager
def watching(
    under_way: Callable[[], object | None],
    limit: float,
    hangs: Callable[[], None],
    look: float = 1.0,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Look at what runs, in a thread of its own, for as long as the block lasts.

    The same pass has to be there at look after look. So a process that was halted for a while and goes on has no pass
    that hangs; and it costs the passes themselves nothing.

    Args:
        under_way: what runs now, another object each time, None between two; called from that thread.
        limit: seconds that one may take.
        hangs: called once, from that thread, when one has taken longer. Where it hangs is in the log by then.
        look: seconds between two looks, at most.
        beat: called at each, as a sign that Python still runs.
    """
    over, every = threading.Event(), min(look, limit / 4)
    looks = Looks(math.ceil(limit / every)) if math.isfinite(limit) else None

    def watch() -> None:
        while looks is not None and not over.wait(every):
            beat()
            if looks.look(under_way()):
                log.error("a forward pass has not ended within %g seconds; where all threads are:\n%s", limit, stacks())
                hangs()
                return

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def stacks() -> str:
    """Where every other thread of Python is now, as tracebacks without any value."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = {ident: frame for ident, frame in sys._current_frames().items() if ident != threading.get_ident()}
    return "\n".join(
        f"{names.get(ident, 'a thread')}:\n" + "".join(traceback.format_stack(frame)).rstrip()
        for ident, frame in frames.items()
    )
