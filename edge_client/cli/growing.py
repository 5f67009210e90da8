"""A line about how far something has come: on a terminal one replaces the other, elsewhere one follows now and then."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TextIO

# Seconds between two, on a terminal and elsewhere.
_BETWEEN = (0.25, 10.0)


class GrowingLine:
    """Writes it.

    Args:
        stream: where it is told.
        clock: seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._is_terminal = stream.isatty()
        self._next = 0.0
        self._shown = 0  # characters that stand on the terminal's line

    @property
    def is_due(self) -> bool:
        """Whether it is time for another word."""
        return self._clock() >= self._next

    def wait(self, seconds: float) -> None:
        """Say nothing for so long."""
        self._next = self._clock() + seconds

    def write(self, line: str, last: bool = False) -> None:
        """Tell it now, in the place of the one before.

        Args:
            last: it stays; whatever is written next, an error too, takes the place of another.
        """
        self.wait(_BETWEEN[0 if self._is_terminal else 1])
        stays = last or not self._is_terminal
        print(line.ljust(self._shown), end="\n" if stays else "\r", file=self._stream, flush=True)
        self._shown = 0 if stays else len(line)

    def clear(self) -> None:
        """Make room for what is written next."""
        if self._shown:
            print(" " * self._shown, end="\r", file=self._stream, flush=True)
        self._shown = 0
