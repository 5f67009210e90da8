"""What is shown while a bundle is fetched: nothing if that is soon done, else how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TextIO

from edge_client.cli.console import CONTROLS
from shared.contents import Contents
from shared.sizes import show_size

# Seconds until it is worth a word; and between two words, on a terminal, where one replaces the other, or elsewhere.
PATIENCE = 2.0
_BETWEEN = (0.25, 10.0)
_WIDTH = 78


class Fetching:
    """Tells how far a bundle has come, on standard error; a `Progress` of `edge_client.bundles.fetching`.

    Args:
        stream: where it is told.
        clock: seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._is_terminal = stream.isatty()
        self._of = ""
        self._next = 0.0
        self._has_told = False

    def __call__(self, contents: Contents, done: int) -> None:
        now = self._clock()
        if contents.digest != self._of:
            self._of, self._next, self._has_told = contents.digest, now + PATIENCE, False
        is_whole = done == contents.size
        if now < self._next and not (is_whole and self._has_told):
            return
        self._next, self._has_told = now + _BETWEEN[0 if self._is_terminal else 1], True
        name = contents.name.translate(CONTROLS)
        line = f"edge-client: fetching the bundle {name}: {show_size(done)} of {show_size(contents.size)}"
        # On a terminal whatever is written next, an error too, takes its place.
        end = "\r" if self._is_terminal and not is_whole else "\n"
        print(line.ljust(_WIDTH) if self._is_terminal else line, end=end, file=self._stream, flush=True)
