"""Ctrl-C before and after the work of a program: it ends at once, without a word."""

from __future__ import annotations

import os
import signal
import sys

from shared.errors import INTERRUPTED

TYPE_CHECKING = False  # as type checkers know it; `typing` takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable


_last: list[Callable[[], object]] = []


def end_at_once() -> None:
    """Let Ctrl-C end this process on the spot: while it loads its libraries there is nothing to lose yet.

    Python's own way, an exception wherever the program happens to be, would be a traceback there. To be called by a
    program, first thing. Whoever started it with Ctrl-C ignored (nohup, a script's background job) is obeyed.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def before_the_end(tidy: Callable[[], object]) -> None:
    """Have something done before Ctrl-C ends the process on the spot."""
    _last.append(tidy)


class interruptible:  # used as a `with` statement, and `contextlib` takes long to load
    """For the length of a `with` block let Ctrl-C be a KeyboardInterrupt again, where `end_at_once` holds."""

    def __enter__(self) -> None:
        self._mine = signal.getsignal(signal.SIGINT) is _end
        if self._mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, _end)


def leave(status: int) -> None:
    """End this process now with this status, for all is done: to take large libraries down in order takes seconds."""
    from contextlib import suppress

    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # it was closed, or nobody reads it
            stream.flush()
    for tidy in _last:
        tidy()
    os._exit(status)


class sigterm_unwinds:
    """For the length of a `with` block let SIGTERM be a KeyboardInterrupt, so that what was started ends, too."""

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, self._unwind)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    @staticmethod
    def _unwind(*_: object) -> None:
        raise KeyboardInterrupt


def _end(*_: object) -> None:
    os.write(2, b"\n")
    for tidy in _last:
        tidy()
    os._exit(INTERRUPTED)
