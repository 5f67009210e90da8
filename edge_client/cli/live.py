"""A console that also shows what is only drafted: dim behind the settled text, until that has come so far."""

from __future__ import annotations

import codecs
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from edge_client.cli.console import DIM, RESET, Console, is_colored
from edge_client.cli.tail import ERASE, Tail
from edge_client.decoding.text import Event, Provisional, Retract

# Seconds. What is provisional is painted so often at most; settled text is written at once.
FRAME = 1 / 30


def can_be_live(stream: TextIO, when: str, color: str) -> bool:
    """Whether provisional text is shown on `stream`.

    Args:
        when: "never"; "always", on a terminal; or "auto", on one that shows colours and does what it is told.
        color: as for `Console`.
    """
    if when == "never" or not stream.isatty() or codecs.lookup(stream.encoding or "utf-8").name != "utf-8":
        return False
    is_plain = os.environ.get("TERM", "" if os.name == "posix" else "unknown") in ("", "dumb")
    return when == "always" or (is_colored(stream, color) and not is_plain)


def console(when: str, color: str, quiet: bool) -> Console:
    """What shows a text on standard output as the command line says.

    Args:
        when: as for `can_be_live`.
        color: as for `Console`.
        quiet: no line about the run, nor, unless `when` is "always", what is provisional.
    """
    if quiet and when == "auto":
        when = "never"
    kind = Live if can_be_live(sys.stdout, when, color) else Console
    return kind(sys.stdout, color, None if quiet else sys.stderr)


def _by_timer(seconds: float, paint: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, paint)
    timer.daemon = True
    timer.start()


class Live(Console):
    """A `Console` on a terminal whose cursor is at the beginning of a line.

    Args:
        stream, color, notes: as for `Console`.
        later: has something done after so many seconds, by any thread.
        size: of the terminal now: columns and rows; by default that of `stream`.
    """

    is_live = True

    def __init__(
        self,
        stream: TextIO,
        color: str = "auto",
        notes: TextIO | None = sys.stderr,
        later: Callable[[float, Callable[[], None]], None] = _by_timer,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(stream, color, notes)
        dim = (RESET + DIM, RESET) if self._colored else ("", "")
        self._tail = Tail(size or (lambda: os.get_terminal_size(stream.fileno())), *dim)
        self._later = later
        self._is_due = False
        self._lock = threading.RLock()  # frames are painted by another thread

    def prompt(self, prompt: str) -> None:
        with self._lock:
            super().prompt(prompt)
            self._tail.wrote(prompt)

    def show(self, event: Event) -> None:
        with self._lock:
            match event:
                case Provisional():
                    self._tail.draft(event.text)
                case Retract():
                    self._tail.retract(event.tokens)
                case _:
                    if self._tail.hinders(event.text):
                        self._erase()
                    super().show(event)
                    self._tail.settle(event.text)
            self._paint_soon()

    @contextmanager
    def aside(self) -> Iterator[None]:
        with self._lock, super().aside():
            yield
        self._paint_soon()

    def stop(self) -> None:
        with self._lock:
            self._tail.drop()
            self._break_off()

    def _break_off(self) -> None:
        with self._lock:
            if self._tail.is_painted:
                self._erase()
            super()._break_off()
            self._tail.wrote("\n")

    def _erase(self) -> None:
        self._stream.write(ERASE)
        self._tail.erased()

    def _paint_soon(self) -> None:
        if self._tail.is_stale and not self._is_due:
            self._is_due = True
            self._later(FRAME, self._paint)

    def _paint(self) -> None:
        # A terminal that is gone is told of by the next settled token.
        with self._lock, suppress(OSError, ValueError):
            self._is_due = False
            if frame := self._tail.frame():
                self._stream.write(frame)
                self._stream.flush()
                self._style = ""
