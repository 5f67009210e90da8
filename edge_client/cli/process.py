"""The process around a command: signals that end it in good order, and exit statuses."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C that ends the program: in the same way, so that nothing is lost."""

    def __init__(self, number: int) -> None:
        self.number = number


def exit_status_of(end: KeyboardInterrupt) -> int:
    """As shells report the signal that ended the program."""
    return 128 + (end.number if isinstance(end, _Ended) else signal.SIGINT)


@contextmanager
def signals_end_it() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the program as Ctrl-C does, unless someone cares for them already."""

    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    mine = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C end what is in the block, once: ending it in good order is not interrupted again."""
    mine = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    if mine:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def signals_are_heeded() -> Iterator[None]:
    """Let a signal end a wait for a line, also one that comes just before the wait begins.

    Python acts on a signal between two of its own steps. A wait of readline that begins after the signal and before
    such a step would go on until a key is pressed. So a thread hears of signals, too, and sends each again until the
    block ends.
    """
    main = threading.main_thread()
    if threading.current_thread() is not main or not hasattr(signal, "pthread_kill"):
        yield
        return
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    left = threading.Event()

    def send_again() -> None:
        for [number] in iter(lambda: os.read(ours, 1), b""):
            while not left.wait(0.1):
                signal.pthread_kill(main.ident or 0, number)

    thread = threading.Thread(target=send_again, name="signals", daemon=True)
    before = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.close(theirs)
        thread.join()
        os.close(ours)
