"""Provisional text behind the cursor of a terminal: what has to be written for it to appear and to vanish."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edge_client.cli.cells import cells, column_after, rows_of
from edge_client.cli.console import CONTROLS

# Of the VT100, which every terminal takes after. All that is behind the cursor, down to the end of the screen:
ERASE = "\033[J"
_SAVE, _RESTORE = "\0337", "\0338"
_DOWN, _UP = "\033D", "\033[{}A"
_KEEP_IN_ROW, _GO_ON_IN_NEXT_ROW = "\033[?7l", "\033[?7h"


class Tail:
    """The provisional tokens behind a settled text, and what of them is on the screen.

    The cursor stays where the settled text ends. So settled text that was foreseen is written over what is provisional,
    and all of it vanishes by erasing what is behind the cursor, whatever became of the size of the terminal meanwhile.
    What would not fit on half of the screen waits until the text has moved on, and so does what stands behind a
    character whose width terminals disagree about, up to the next line: nothing is written where the place is unsure.

    Args:
        size: of the terminal now: columns and rows.
        begin, end: what is written around provisional text to make it look so.

    Attributes:
        is_stale: whether the next frame may differ from what is on the screen.
    """

    def __init__(self, size: Callable[[], tuple[int, int]], begin: str = "", end: str = "") -> None:
        self._size = size
        self._begin, self._end = begin, end
        self._tokens: deque[str] = deque()
        self._painted = ""
        # Where the cursor was, unless that is unknown, and what has been settled since; measured when it is needed.
        self._column: int | None = 0
        self._since: list[str] = []
        self._columns = size()[0]
        self.is_stale = False

    @property
    def is_painted(self) -> bool:
        """Whether there is any on the screen."""
        return bool(self._painted)

    def draft(self, text: str) -> None:
        """One more provisional token."""
        self._tokens.append(text)
        self.is_stale = True

    def retract(self, tokens: int) -> None:
        """The last provisional tokens are none any more."""
        for _ in range(tokens):
            self._tokens.pop()
        self.is_stale = True

    def hinders(self, text: str) -> bool:
        """Whether it has to be erased before settled `text` is written, and not just written over."""
        if not self._painted or not text:
            return False
        text = text.translate(CONTROLS)
        rest = self._painted[len(text) :]
        if not self._painted.startswith(text) or (rest and cells(rest[0]) == 0):
            return True
        columns, _ = self._size()
        column = self._measure(columns)
        after = None if column is None else column_after(text, column, columns)
        # From the margin, the last character would be erased as well.
        return after is None or (after == columns and bool(rest))

    def erased(self) -> None:
        """Nothing provisional is on the screen any more."""
        self._painted = ""
        self.is_stale = bool(self._tokens)

    def settle(self, text: str) -> None:
        """One more settled token, in the place of the first provisional one, was written; nothing hindered it."""
        if self._tokens:
            self._tokens.popleft()
        self._painted = self._painted[len(text) :]
        self.wrote(text)

    def wrote(self, text: str) -> None:
        """The cursor has moved on."""
        _, ends_line, rest = text.rpartition("\n")
        if ends_line:
            self._column = 0
            self._since.clear()
        self._since.append(rest)
        self.is_stale |= bool(self._tokens)  # there may be more room now

    def drop(self) -> None:
        """Nothing is provisional any more; what is on the screen of it is still to be erased."""
        self._tokens.clear()
        self.is_stale = False

    def frame(self) -> str:
        """What makes the screen show what is provisional now; empty where it does."""
        self.is_stale = False
        columns, rows = self._size()
        column = self._measure(columns)
        text, lines = "", [""]
        if self._tokens and column is not None and column < columns:
            text, lines = rows_of("".join(self._tokens).translate(CONTROLS), column, columns, max(rows // 2, 1))
        if text == self._painted:
            return ""
        self._painted = text
        if not text:
            return ERASE
        # First room is made: what makes the screen scroll would leave the cursor's saved place behind.
        below = len(lines) - 1
        room = _DOWN * below + _UP.format(below) if below else ""
        shown = "\r\n".join(lines)
        return f"{ERASE}{room}{_SAVE}{_KEEP_IN_ROW}{self._begin}{shown}{_RESTORE}{_GO_ON_IN_NEXT_ROW}{self._end}"

    def _measure(self, columns: int) -> int | None:
        """Where the cursor is."""
        if columns != self._columns:  # what was written before may lie anywhere now
            self._columns, self._column = columns, None
        elif self._column is not None:
            self._column = column_after("".join(self._since).translate(CONTROLS), self._column, columns)
        self._since.clear()
        return self._column
