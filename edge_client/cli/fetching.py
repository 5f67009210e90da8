"""What is shown while a bundle is fetched: nothing if that is soon done, else how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TextIO

from edge_client.cli.console import CONTROLS
from edge_client.cli.growing import GrowingLine
from shared.contents import Contents
from shared.sizes import show_size

# Seconds until it is worth a word.
PATIENCE = 2.0


class Fetching:
    """Tells how far a bundle has come, on standard error; a `Progress` of `edge_client.bundles.fetching`.

    Args:
        stream: where it is told.
        clock: seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._line = GrowingLine(stream, clock)
        self._of = ""
        self._has_told = False

    def __call__(self, contents: Contents, done: int) -> None:
        if contents.digest != self._of:
            self._of, self._has_told = contents.digest, False
            self._line.wait(PATIENCE)
        is_whole = done == contents.size
        if not self._line.is_due and not (is_whole and self._has_told):
            return
        self._has_told = True
        name = contents.name.translate(CONTROLS)
        line = f"edge-client: fetching the bundle {name}: {show_size(done)} of {show_size(contents.size)}"
        self._line.write(line, last=is_whole)
