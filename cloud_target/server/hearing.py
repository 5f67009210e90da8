"""Signals, heard by a thread of their own: whoever asks the process to end is obeyed, whatever the event loop is in."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

ENDS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def hearing(
    heard: Callable[[signal.Signals], None], others: Mapping[signal.Signals, Callable[[], object]]
) -> Iterator[None]:
    """Tell of the first signal that ends the process; a second one ends it at once, whatever hangs in it.

    To be used in the main thread. Handlers of Python run there, and an event loop's own run in the loop: where that
    waits for a file system, neither would. What Python does at the moment of a signal it does anywhere, and that is to
    write the number of the signal into a pipe, from which a thread reads it here.

    Args:
        heard: called with the first of `ENDS`.
        others: signals that may come as often as they like, and what is called then. All are called in that thread,
            which hears nothing else until they return.
    """
    before = {number: signal.getsignal(number) for number in (*ENDS, *others)}
    calls = {int(number): call for number, call in others.items()}
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)

    def hear() -> None:
        is_told = False
        for [number] in iter(lambda: os.read(ours, 1), b""):
            if number in calls:
                calls[number]()
            elif number in ENDS and is_told:
                os._exit(128 + number)
            elif number in ENDS:
                is_told = True
                heard(signal.Signals(number))

    thread = threading.Thread(target=hear, name="signals", daemon=True)
    thread.start()
    wakes = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    for number in before:
        signal.signal(number, _leave_the_next_to_the_system if number in ENDS else _nothing)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakes)
        os.close(theirs)
        thread.join()
        os.close(ours)


def _leave_the_next_to_the_system(*_: object) -> None:
    """Which ends the process without waiting even for Python's own lock. Only the first process of a container it does
    not end so, and there the thread goes on hearing."""
    if os.getpid() != 1:
        for number in ENDS:
            signal.signal(number, signal.SIG_DFL)


def _nothing(*_: object) -> None:
    """The thread has heard it."""
