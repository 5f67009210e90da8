"""Cells of a terminal: what is sure is right, and what is disputed is said to be unknown."""

from __future__ import annotations

import sys

import pytest

from edge_client.cli.cells import cells, column_after, rows_of


@pytest.mark.parametrize(
    ("char", "width"),
    [("a", 1), ("é", 1), ("“", 1), ("你", 2), ("한", 2), ("😀", 2), ("\u3000", 2), ("\u0301", 0), ("\ufffd", 1)]
    + [(char, None) for char in "\n\t\033\u200d\ufe0f\u00ad\u0903\U0001f1eb\U0001f3fd\u1160\ue000\U000e0fff"],
)
def test_the_cells_of_a_character(char, width):
    assert cells(char) == width


@pytest.mark.slow
def test_an_emulator_that_nobody_here_wrote_says_the_same():
    wcwidth = pytest.importorskip("wcwidth", reason="wcwidth, which pyte brings, is not installed").wcwidth
    known = [(char, cells(char)) for char in map(chr, range(sys.maxunicode + 1))]
    other = [char for char, width in known if width is not None and width != wcwidth(char)]
    assert other == []


@pytest.mark.parametrize(
    ("text", "column", "after"),
    [
        ("abc", 0, 3),
        ("abcdefgh", 2, 10),  # at the margin
        ("abcdefghi", 2, 1),
        ("你", 9, 2),  # does not fit into the last cell
        ("ab\nc", 5, 1),
        ("a\tb", 0, 9),
        ("\t", 8, None),
        ("e\u0301", 0, 1),
        ("\u0301", 0, None),
        ("a\u200db", 0, None),
    ],
)
def test_where_the_cursor_is_after_a_text(text, column, after):
    assert column_after(text, column, columns=10) == after


def test_as_much_as_is_sure_to_fit():
    assert rows_of("abcd", 8, 10, 2) == ("abcd", ["ab", "cd"])
    assert rows_of("ab\ncd\nef", 0, 10, 2) == ("ab\ncd", ["ab", "cd"])
    assert rows_of("a你好", 8, 10, 1) == ("a", ["a"])
    assert rows_of("ab\u200dcd", 0, 10, 2) == ("ab", ["ab"])
    assert rows_of("\u0301ab", 5, 10, 2) == ("", [""])
