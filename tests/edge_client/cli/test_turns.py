"""The user's turns: from a pipe, and as typed."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from edge_client.cli.history import History
from edge_client.cli.turns import MORE, PROMPT, Piped, Turns, Typed, ask_plainly
from shared.errors import InputError


class Editor:
    """As much of readline as is used; a line is what is offered and what is typed behind it."""

    def __init__(self, *lines: str) -> None:
        self.entries: list[str] = []
        self.prompts: list[str] = []
        self.automatic = True
        self._lines = list(lines)
        self._hook: Callable[[], object] | None = None
        self._line = ""

    def set_auto_history(self, on: bool) -> None:
        self.automatic = on

    def add_history(self, line: str) -> None:
        self.entries.append(line)

    def set_pre_input_hook(self, hook: Callable[[], object] | None) -> None:
        self._hook = hook

    def insert_text(self, text: str) -> None:
        self._line += text

    def redisplay(self) -> None:
        pass

    def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self._lines:
            raise EOFError
        self._line = ""
        if self._hook is not None:
            self._hook()
        return self._line + self._lines.pop(0)


def all_of(turns: Turns) -> list[str]:
    found = []
    while True:
        try:
            found.append(turns.read())
        except EOFError:
            return found


@pytest.mark.parametrize(
    ("data", "turns"),
    [
        ("", []),
        ("a\nb", ["a", "b"]),
        ("\ufeffné 😀\r\n\n b \n", ["né 😀", "", " b "]),
        ("a\\\nb\\\nc\nd", ["a\nb\nc", "d"]),
        ("a\\\\\nb", ["a\\\\", "b"]),
        ("a\\\\\\\nb", ["a\\\\\nb"]),
        ("a\\", ["a"]),
    ],
)
def test_lines_of_a_pipe(data, turns):
    assert all_of(Piped(io.BytesIO(data.encode()))) == turns


def test_a_pipe_of_something_else():
    with pytest.raises(InputError, match="not UTF-8"):
        Piped(io.BytesIO(b"\xff\xfe\n")).read()


def test_several_lines_are_one_turn_and_one_entry():
    editor = Editor("a\\", "b", "", "a", "a")
    typed = Typed(editor.ask, editor)
    assert all_of(typed) == ["a\nb", "", "a", "a"]
    assert editor.prompts == [PROMPT, MORE, PROMPT, PROMPT, PROMPT, PROMPT]
    assert (editor.entries, editor.automatic) == (["a\nb", "a"], False)


def test_what_is_offered_stands_in_the_first_line_only():
    editor = Editor("!\\", "more", "next")
    typed = Typed(editor.ask, editor)
    assert typed.read("Hello") == "Hello!\nmore"
    assert typed.read() == "next"


def test_without_an_editor_what_is_offered_is_shown(capsys):
    assert Typed(lambda _: "new").read("old \033[2J") == "new"
    assert capsys.readouterr().err == "old \ufffd[2J\n"


def test_the_history_is_that_of_earlier_chats(tmp_path):
    history = History(tmp_path / "state" / "history")
    first, second = Editor("a\\", "b", "/help"), Editor()
    assert all_of(Typed(first.ask, first, history)) == ["a\nb", "/help"]
    Typed(second.ask, second, history)
    assert second.entries == ["a\nb", "/help"]


def test_a_history_that_cannot_be_kept_is_told_of_once(tmp_path, capsys):
    (tmp_path / "state").write_text("no directory")
    editor = Editor("a", "b")
    assert all_of(Typed(editor.ask, editor, History(tmp_path / "state" / "history"))) == ["a", "b"]
    assert capsys.readouterr().err.count("is not remembered") == 1


def test_a_prompt_is_kept_out_of_what_is_written_to_a_file(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\nb"))
    assert all_of(Typed(ask_plainly)) == ["a", "b"]
    out, err = capsys.readouterr()
    assert (out, err) == ("", PROMPT * 3)
