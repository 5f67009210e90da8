"""A live console: when it is one, when it paints, and that settled text waits for nothing."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from edge_client.cli.console import DIM, Console
from edge_client.cli.live import FRAME, Live, can_be_live
from edge_client.decoding.text import Event, Origin, Provisional, Retract, Token


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Later:
    """What is to be done later, and when."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.asked = 0

    def __call__(self, seconds: float, paint: Callable[[], None]) -> None:
        assert seconds == FRAME
        self.asked += 1
        self.waiting.append(paint)

    def now(self) -> None:
        self.waiting.pop()()
        assert self.waiting == []


def settled(text: str) -> Token:
    return Token(1, text, Origin.ACCEPTED)


def live(*events: Event, color: str = "always") -> tuple[Live, Terminal, Later]:
    stream, later = Terminal(), Later()
    console = Live(stream, color, None, later, lambda: (40, 10))
    for event in events:
        console.show(event)
    return console, stream, later


@pytest.mark.parametrize(
    ("stream", "encoding", "when", "color", "environment", "expected"),
    [
        (Terminal, "utf-8", "auto", "auto", {}, True),
        (Terminal, "UTF-8", "always", "auto", {}, True),
        (Terminal, "utf-8", "never", "always", {}, False),
        (Terminal, "latin-1", "always", "always", {}, False),
        (Terminal, "utf-8", "auto", "never", {}, False),
        (Terminal, "utf-8", "auto", "auto", {"NO_COLOR": "1"}, False),
        (Terminal, "utf-8", "auto", "always", {"NO_COLOR": "1"}, True),
        (Terminal, "utf-8", "always", "auto", {"NO_COLOR": "1"}, True),
        (Terminal, "utf-8", "auto", "always", {"TERM": "dumb"}, False),
        (Terminal, "utf-8", "auto", "auto", {"TERM": ""}, False),
        (io.StringIO, "utf-8", "always", "always", {}, False),
    ],
)
def test_when_it_is_one(monkeypatch, stream, encoding, when, color, environment, expected):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in ({"TERM": "xterm"} | environment).items():
        monkeypatch.setenv(name, value)
    made = type("Encoded", (stream,), {"encoding": encoding})()
    assert can_be_live(made, when, color) is expected


def test_without_provisional_tokens_it_is_a_plain_console_and_paints_nothing():
    tokens = [settled(text) for text in ("Once", " upon", "\n", "你", "")]
    console, stream, later = live(*tokens)
    plain = Console(Terminal(), "always", None)
    for token in tokens:
        plain.show(token)
    for either in (console, plain):
        either.stop()
    assert (stream.getvalue(), later.asked) == (plain._stream.getvalue(), 0)


def test_a_frame_is_asked_for_once_whatever_happens_until_then():
    console, stream, later = live(*[Provisional(1, "a")] * 100, Retract(50, "a" * 50), settled("a"))
    assert later.asked == 1
    assert "\033[J" not in stream.getvalue()  # the settled token did not wait for it
    later.now()
    assert stream.getvalue().count("a" * 39 + "\r\n" + "a" * 10) == 1
    console.show(Provisional(1, "b"))
    assert later.asked == 2


@pytest.mark.parametrize(("color", "is_dim"), [("always", True), ("never", False)])
def test_what_is_provisional_is_dim_where_there_are_colours(color, is_dim):
    console, stream, later = live(settled("Once"), Provisional(1, " upon\033"), color=color)
    later.now()
    (frame,) = stream.getvalue().split("Once")[1:]
    assert " upon\ufffd" in frame
    assert (f"{DIM} upon" in frame) == is_dim
    assert ("m" in frame.replace(" upon", "")) == is_dim  # all colours end so
    console.show(settled(" upon"))
    assert stream.getvalue().endswith(" upon")


def test_the_end_leaves_nothing_provisional_nor_a_frame_to_come():
    console, stream, later = live(settled("Once"), Provisional(1, " upon"))
    later.now()
    console.show(Provisional(1, " a"))
    console.stop()
    written = stream.getvalue()
    assert written.endswith("\033[J\n")
    later.now()
    console.stop()
    assert stream.getvalue() == written


def test_something_told_in_the_middle_has_lines_of_its_own_and_no_frame_comes_between():
    console, stream, later = live(settled("Once"), Provisional(1, " upon"))
    later.now()
    with console.aside():
        stream.write("a note\n")
        assert later.waiting == []
    before, after = stream.getvalue().split("a note\n")
    assert (before.endswith("\033[J\n"), after) == (True, "")
    later.now()
    assert " upon" in stream.getvalue().split("a note\n")[1]


def test_a_terminal_that_is_gone_is_told_of_where_settled_text_is_written():
    console, stream, later = live(Provisional(1, "a"))
    stream.close()
    later.now()
    with pytest.raises(ValueError, match="closed file"):
        console.show(settled("b"))
