"""The console: colours where they help, commands nowhere, and every token at once."""

from __future__ import annotations

import io
import re

import pytest

from edge_client.cli.console import Console, Silent
from edge_client.decoding.text import Origin, Token


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(*pieces: tuple[str, Origin]) -> list[Token]:
    return [Token(1, text, origin) for text, origin in pieces]


def written(stream: io.StringIO, *pieces: tuple[str, Origin], color: str = "auto") -> str:
    console = Console(stream, color)
    for piece in shown(*pieces):
        console.show(piece)
    console.stop()
    console.stop()
    return stream.getvalue()


A, C, T = Origin.ACCEPTED, Origin.CONFIRMED, Origin.TARGET


def test_colours_change_with_the_origin_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = written(Terminal(), ("a", A), ("b", A), ("", T), ("c", T), ("d", C))
    styles = re.findall(r"\033\[[\d;]*m", text)
    assert len(set(styles)) == 4
    assert re.sub(r"\033\[[\d;]*m", "|", text) == "||ab||c||d|\n"


@pytest.mark.parametrize(
    ("stream", "color", "environment", "colored"),
    [
        (Terminal, "auto", {}, True),
        (Terminal, "auto", {"NO_COLOR": "1"}, False),
        (Terminal, "auto", {"TERM": "dumb"}, False),
        (Terminal, "never", {}, False),
        (io.StringIO, "auto", {}, False),
        (io.StringIO, "always", {"NO_COLOR": "1"}, True),
    ],
)
def test_when_there_are_colours(monkeypatch, stream, color, environment, colored):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in ({"TERM": "xterm"} | environment).items():
        monkeypatch.setenv(name, value)
    assert ("\033" in written(stream(), ("a", A), color=color)) == colored
    legend = stream()
    Console(legend, color).legend()
    assert bool(legend.getvalue()) == colored


def test_a_model_cannot_command_the_terminal(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert written(Terminal(), ("a\033[2Jb\tc\r\n", A)) == "a\ufffd[2Jb\tc\ufffd\n"
    assert written(io.StringIO(), ("a\033[2J\n", A)) == "a\033[2J\n"  # a file gets the text as it is


def test_a_terminal_shows_the_prompt_and_others_do_not(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    for stream, expected in ((Terminal(), "Once"), (io.StringIO(), "")):
        Console(stream).prompt("Once")
        assert stream.getvalue() == expected


def test_a_token_is_on_its_way_at_once():
    class Watched(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    stream = Watched()
    console = Console(stream)
    for count, piece in enumerate(shown(("a", A), ("b", T)), 1):
        console.show(piece)
        assert stream.flushed == count


def test_the_silent_twin_has_every_method():
    names = {name for name in vars(Silent) if not name.startswith("_")}
    assert names == {"is_live", "prompt", "show", "aside", "stop", "end"}
    assert all(hasattr(Console, name) for name in names)
