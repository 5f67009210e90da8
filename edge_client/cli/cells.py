"""Where text comes to lie on a terminal: the cells that characters take, as far as terminals agree about them.

A column is counted from 0. After a character in the last cell of a row it is the number of columns: the cursor stays at
the margin, and the next character begins a new row.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_TAB = 8
# What terminals treat as they like, or as their edition of Unicode has it.
_DISPUTED = frozenset(
    code
    for codes in (
        # Jamo that join the one before, and fillers for them.
        *(range(0x1160, 0x1200), range(0xD7B0, 0xD800), (0x3164, 0xFFA0)),
        # Flags, and shades of skin: of two characters one picture.
        *(range(0x1F1E6, 0x1F200), range(0x1F3FB, 0x1F400)),
        # Trigrams, hexagrams and counting rods: wide since Unicode 16.
        *(range(0x2630, 0x2638), range(0x268A, 0x2690), range(0x4DC0, 0x4E00)),
        *(range(0x1D300, 0x1D357), range(0x1D360, 0x1D377)),
    )
    for code in codes
)


@lru_cache(maxsize=4096)
def cells(char: str) -> int | None:
    """The cells of one character, 0 of one that joins the one before; None where terminals differ, and of controls."""
    if ord(char) in _DISPUTED:
        return None
    category = unicodedata.category(char)
    if category in ("Mn", "Me"):
        # A sign that turns the one before into a picture widens it here and there.
        return None if 0xFE00 <= ord(char) <= 0xFE0F else 0
    if category[0] not in "LNPS" and category != "Zs":
        return None
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def column_after(text: str, column: int, columns: int) -> int | None:
    """Where the cursor is after `text` written at `column`; None where that cannot be known."""
    for char in text:
        place = _place(char, column, columns)
        if place is None:
            return None
        column, _ = place
    return column


def rows_of(text: str, column: int, columns: int, most: int) -> tuple[str, list[str]]:
    """As much of `text`, written at `column`, as is sure to fit into `most` rows; and what of it lies in each row."""
    rows = [""]
    for count, char in enumerate(text):
        place = _place(char, column, columns)
        joins_what_was_before = count == 0 and cells(char) == 0
        if place is None or joins_what_was_before or (place[1] and len(rows) == most):
            return text[:count], rows
        column, begins_row = place
        if begins_row:
            rows.append("")
        if char != "\n":
            rows[-1] += char
    return text, rows


def _place(char: str, column: int, columns: int) -> tuple[int, bool] | None:
    """Where the cursor is after a character at `column`, and whether that is in a new row."""
    if char == "\n":
        return 0, True
    if char == "\t":
        stop = (column // _TAB + 1) * _TAB
        return (stop, False) if stop < columns else None
    width = cells(char)
    if width is None or width > columns or (width == 0 and column == 0):
        return None
    return (width, True) if column + width > columns else (column + width, False)
