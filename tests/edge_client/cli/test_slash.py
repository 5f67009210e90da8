"""Lines of a chat: text, commands, and what is neither."""

from __future__ import annotations

import pytest

from edge_client.cli.slash import COMMANDS, Command, help_text, read_line
from shared.errors import InputError


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("Hello", "Hello"),
        (" /help", " /help"),
        ("//help", "/help"),
        ("///", "//"),
        ("/help", Command("help", "")),
        ("/mode", Command("mode", "")),
        ("/mode  exact ", Command("mode", "exact")),
        ("/save my talk.json", Command("save", "my talk.json")),
        ("/save! talk.json", Command("save!", "talk.json")),
        ("/system You are\na waiter.", Command("system", "You are\na waiter.")),
    ],
)
def test_what_a_line_means(line, meant):
    assert read_line(line) == meant


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/moed exact", "no command /moed; the nearest is /mode"),
        ("/Undo", "no command /Undo; the nearest is /undo"),
        ("/xyz", "no command /xyz; the nearest is /"),
        ("/", "no command /; /help lists all"),
        ("/etc/passwd is what?", "text that begins with a slash takes two"),
        ("/undo all", "/undo takes nothing behind it"),
        ("/save", "/save needs a file"),
        ("/load ", "/load needs a file"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(line, sentence):
    with pytest.raises(InputError) as caught:
        read_line(line)
    assert sentence in str(caught.value)


def test_the_help_has_every_command():
    rows = help_text().splitlines()
    assert [row.split()[0] for row in rows if row.startswith("  /")] == [f"/{name}" for name in COMMANDS]
