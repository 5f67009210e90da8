"""A terminal that a console writes to: pyte's, which nobody here wrote, with all that has scrolled away."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest

pyte = pytest.importorskip("pyte", reason="there is no terminal to ask: pyte is not installed")
wcwidth = pyte.screens.wcwidth


class Strict(pyte.HistoryScreen):
    """As xterm is at the margin, where pyte is kinder: a wide character that does not fit begins a row; the last
    character is erased with what is behind it; and no way leads back there.
    """

    def draw(self, data: str) -> None:
        for char in data:
            if self.cursor.x == self.columns - 1 and pyte.modes.DECAWM in self.mode and wcwidth(char) == 2:
                self.cursor.x = self.columns
            super().draw(char)

    def erase_in_display(self, *how: int, **more: object) -> None:
        self._leave_the_margin()
        super().erase_in_display(*how, **more)

    def restore_cursor(self) -> None:
        super().restore_cursor()
        self._leave_the_margin()

    def _leave_the_margin(self) -> None:
        self.cursor.x = min(self.cursor.x, self.columns - 1)


class Terminal(io.StringIO):
    """What is written to it appears on a screen, as it would in a window of that size."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.screen = Strict(columns, rows, history=10_000)
        self._feed = pyte.Stream(self.screen).feed

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.feed(text.replace("\n", "\r\n"))  # as the kernel does
        return len(text)

    def feed(self, text: str) -> None:
        """Show what comes from the kernel."""
        self._feed(text)
        super().write(text)

    def size(self) -> tuple[int, int]:
        return self.screen.columns, self.screen.lines

    def resize(self, columns: int) -> None:
        self.screen.resize(columns=columns)
        self.screen.tabstops = set(range(8, columns, 8))

    @property
    def cursor(self) -> tuple[int, int]:
        """Its row, counted from the first that was ever written, and its column."""
        return len(self.screen.history.top) + self.screen.cursor.y, self.screen.cursor.x

    @property
    def behind_the_cursor(self) -> str:
        """Text in its row, where provisional text begins."""
        row = self.screen.buffer[self.screen.cursor.y]
        return "".join(row[x].data for x in range(self.screen.cursor.x, self.screen.columns)).strip()

    @property
    def widest(self) -> int:
        """The cells of the widest row, or up to the cursor."""
        filled = (x for row in self._rows for x in range(self.screen.columns) if row[x].data != " ")
        return max([self.screen.cursor.x, *filled]) + 1

    @property
    def _rows(self) -> list[Mapping[int, pyte.screens.Char]]:
        return [*self.screen.history.top, *(self.screen.buffer[y] for y in range(self.screen.lines))]

    @property
    def lines(self) -> list[str]:
        """All rows down to the last that is not empty, or where the cursor is."""
        lines = ["".join(row[x].data for x in range(self.screen.columns)).rstrip() for row in self._rows]
        while len(lines) > self.cursor[0] + 1 and not lines[-1]:
            lines.pop()
        return lines
