"""Provisional text on a terminal: at every moment the screen is the settled text, and a part of what is provisional."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.cli.console import Console
from edge_client.cli.live import Live
from edge_client.decoding.text import Origin, Provisional, Retract, Token
from tests.edge_client.cli.terminal import Terminal

# Words, what is wide, what joins the character before, what moves the cursor.
PLAIN = st.sampled_from(
    ["", "a", "Once", " upon", " a time,", "\n", " end.\n", "\t", "x\ty", "你好", "한", "e\u0301", "\u0301"]
)
# What terminals dispute about, and what is no text.
ODD = st.sampled_from(["\n\nTom", "👩\u200d💻", "\u200d", "🇫🇷", "\033[2J", "\r", "\u0928\u093f", "é😀", "a" * 50])
PIECES = st.integers(0, 9).flatmap(lambda n: PLAIN if n else ODD)
ORIGINS = st.sampled_from(list(Origin))


class Watched:
    """A live console, and beside it a plain one with a terminal of its own that gets the settled text only."""

    def __init__(self, columns: int, rows: int, color: str = "always") -> None:
        self.terminal, self.plain_terminal = Terminal(columns, rows), Terminal(columns, rows)
        self.waiting: list[Callable[[], None]] = []
        self.live = Live(
            self.terminal, color, None, lambda _, paint: self.waiting.append(paint), size=self.terminal.size
        )
        self.plain = Console(self.plain_terminal, color, None)
        self.color = color
        self.provisional: list[str] = []
        self.told: list[Callable[[Console], None]] = []

    def both(self, act: Callable[[Console], None]) -> None:
        act(self.live)
        act(self.plain)
        self.told.append(act)

    def draft(self, text: str) -> None:
        self.live.show(Provisional(1, text))
        self.provisional.append(text)

    def retract(self, tokens: int) -> None:
        if tokens:
            self.live.show(Retract(tokens, "".join(self.provisional[-tokens:])))
            del self.provisional[-tokens:]

    def settle(self, text: str, origin: Origin) -> None:
        if self.provisional[:1] != [text]:
            self.retract(len(self.provisional))
        self.both(lambda console: console.show(Token(1, text, origin)))
        del self.provisional[:1]

    def frame(self) -> None:
        assert len(self.waiting) <= 1
        if self.waiting:
            self.waiting.pop()()

    def note(self, sentence: str) -> None:
        def tell(console: Console) -> None:
            with console.aside():
                console._stream.write(f"{sentence}\n")

        self.both(tell)

    def resize(self, columns: int) -> None:
        columns = max(columns, self.plain_terminal.widest + 1)  # what pyte would cut off, most terminals wrap
        self.terminal.resize(columns)
        self.plain_terminal.resize(columns)

    def check_settled(self) -> None:
        """What is settled is where it would be, and so is the cursor."""
        row, _ = self.terminal.cursor
        assert self.terminal.cursor == self.plain_terminal.cursor
        lines, plain = self.terminal.lines, self.plain_terminal.lines
        assert lines[:row] == plain[:row]
        assert lines[row].startswith(plain[row])

    def shown(self) -> int:
        """How many provisional characters are on the screen: as if they had been written behind the settled text."""
        text = "".join(self.provisional).translate({0x1B: "\ufffd", 0x0D: "\ufffd"})
        for count in range(len(text), -1, -1):
            other = Terminal(*self.terminal.size())
            console = Console(other, self.color, None)
            for act in self.told:
                act(console)
            other.write(text[:count])
            if _stripped(other.lines) == _stripped(self.terminal.lines):
                return count
        raise AssertionError(f"{self.terminal.lines} is not {self.plain_terminal.lines} with some of {text!r}")


def _stripped(lines: list[str]) -> list[str]:
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


def stop(console: Console) -> None:
    console.stop()


STEPS = st.one_of(
    st.tuples(st.just("draft"), st.lists(PIECES, min_size=1, max_size=8)),
    st.tuples(st.just("paint"), st.lists(PIECES, min_size=1, max_size=8)),
    st.tuples(st.just("foreseen"), ORIGINS),
    st.tuples(st.just("retract"), st.integers(0, 4)),
    st.tuples(st.just("foreseen"), ORIGINS),
    st.tuples(st.just("settle"), PIECES, ORIGINS),
    st.tuples(st.just("frame")),
    st.tuples(st.just("note")),
    st.tuples(st.just("resize"), st.integers(6, 24)),
)


def take(watched: Watched, step: tuple) -> None:
    match step:
        case ("draft" | "paint", pieces):
            for piece in pieces:
                watched.draft(piece)
            if step[0] == "paint":
                watched.frame()
        case ("retract", tokens):
            watched.retract(min(tokens, len(watched.provisional)))
        case ("foreseen", origin):
            if watched.provisional:
                watched.settle(watched.provisional[0], origin)
        case ("settle", piece, origin):
            watched.settle(piece, origin)
        case ("frame",):
            watched.frame()
        case ("note",):
            watched.note("a note")
        case ("resize", columns):
            watched.resize(columns)


A, T = Origin.ACCEPTED, Origin.TARGET


@pytest.mark.parametrize(
    "steps",
    [
        # Up to the margin with more behind it, then otherwise.
        [("paint", ["abc", "de"]), ("foreseen", A), ("settle", "x", T)],
        [("paint", ["abc", "de"]), ("foreseen", A), ("note",), ("foreseen", A)],
        # What is painted begins at the margin.
        [("settle", "abc", T), ("paint", ["de"]), ("foreseen", A)],
        [("settle", "abc", T), ("paint", ["de"]), ("settle", "\n", T), ("settle", "x", T)],
        # Of a character with a sign on it, the sign is still provisional.
        [("paint", ["e", "\u0301x"]), ("foreseen", A), ("frame",), ("settle", "y", T)],
        [("settle", "e", A), ("paint", ["\u0301x"]), ("settle", "y", T)],
        # A wide character does not fit into the last cell.
        [("paint", ["ab", "你"]), ("foreseen", A), ("foreseen", A)],
        [("paint", ["ab", "你"]), ("settle", "你", T), ("settle", "好", T)],
        # More than there is room for, at the end of the screen.
        [("settle", "\n\n\n\n", T), ("paint", ["a" * 50]), ("settle", "b", T)],
        [("settle", "\n\n\n\n", T), ("paint", ["a\n", "b\n", "c\n", "d\n"]), ("foreseen", A), ("settle", "b", T)],
        # Nobody knows where the cursor is, up to the next line.
        [("settle", "👩\u200d💻", T), ("paint", ["ab"]), ("settle", "\n", T), ("paint", ["ab"]), ("foreseen", A)],
    ],
)
def test_where_it_is_hard(steps):
    watched = Watched(6, 4)
    watched.both(lambda console: console.prompt("Tom"))
    for step in steps:
        take(watched, step)
        watched.check_settled()
        watched.shown()
    watched.both(stop)
    assert watched.terminal.lines == watched.plain_terminal.lines


def test_what_was_painted_before_the_window_changed_is_not_written_over():
    """Its rows are no longer those that settled text will fill."""
    watched = Watched(6, 4)
    watched.both(lambda console: console.prompt("Tom"))
    take(watched, ("paint", ["abcdefgh"]))
    watched.resize(20)
    take(watched, ("foreseen", A))
    watched.both(stop)
    assert watched.terminal.lines == watched.plain_terminal.lines == ["Tomabcdefgh", ""]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.integers(6, 24), st.integers(2, 9), st.lists(STEPS, min_size=20, max_size=60))
def test_the_settled_text_is_untouched_whatever_comes_and_goes(columns, rows, steps):
    watched, blank = Watched(columns, rows), len(steps) % 10
    watched.both(lambda console: console.prompt("Tom" + "\n" * blank))
    for step in steps:
        take(watched, step)
        watched.check_settled()
    watched.both(stop)
    watched.frame()
    assert watched.terminal.cursor == watched.plain_terminal.cursor
    assert watched.terminal.lines == watched.plain_terminal.lines


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(
    st.integers(6, 24),
    st.integers(2, 9),
    st.lists(STEPS.filter(lambda step: step[0] != "resize"), min_size=10, max_size=30),
)
def test_a_frame_shows_what_is_provisional_as_it_would_lie(columns, rows, steps):
    watched, blank = Watched(columns, rows), len(steps) % 10
    watched.both(lambda console: console.prompt("Tom" + "\n" * blank))
    for step in steps:
        take(watched, step)
        if step[0] in ("frame", "paint"):
            watched.shown()
