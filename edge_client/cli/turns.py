"""The user's turns: typed at a terminal, with the editing and the memory of readline, or line by line from a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

from edge_client.cli.console import CONTROLS, say
from edge_client.cli.history import History
from edge_client.cli.process import signals_are_heeded
from edge_client.cli.prompt import text_of

PROMPT = "> "
MORE = ". "
_GOES_ON = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")


class Turns(Protocol):
    """Where the user's turns come from."""

    is_typed: bool  # at a terminal, by somebody who sees the answers come

    def read(self, offered: str = "") -> str:
        """The next turn; lines that end with a backslash go on in the next.

        Args:
            offered: what the user most likely wants to change.

        Raises:
            EOFError: there is none any more.
            InputError: it is no text.
        """


class Piped:
    """Turns from a file or a pipe: a line each, without a word in between.

    Args:
        source: UTF-8.
    """

    is_typed = False

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, offered: str = "") -> str:
        return _whole(self._line)

    def _line(self, _: str) -> str:
        line = self._source.readline()
        if not line:
            raise EOFError
        return text_of(line).rstrip("\r\n")


class Typed:
    """Turns from a terminal.

    Args:
        ask: shows a prompt and returns the line that is typed behind it.
        editor: the module readline; None where there is none, or where it is not asked.
        history: of earlier chats; None keeps nothing.
    """

    is_typed = True

    def __init__(self, ask: Callable[[str], str], editor: Any = None, history: History | None = None) -> None:
        self._ask = ask
        self._editor = editor
        self._history = history
        self._latest = ""
        if editor is not None:
            editor.set_auto_history(False)  # a turn of several lines is one
            self._remembering(self._recall)

    def read(self, offered: str = "") -> str:
        if offered and self._editor is None:
            print(offered.translate(CONTROLS), file=sys.stderr)
        elif offered:
            self._editor.set_pre_input_hook(lambda: (self._editor.insert_text(offered), self._editor.redisplay()))
        try:
            turn = _whole(self._line)
        finally:
            if self._editor is not None:
                self._editor.set_pre_input_hook(None)
        if turn.strip() and turn != self._latest:
            self._latest = turn
            if self._editor is not None:
                self._editor.add_history(turn)
            self._remembering(lambda history: history.add(turn))
        return turn

    def _line(self, prompt: str) -> str:
        with signals_are_heeded():
            line = self._ask(prompt)
        if self._editor is not None:
            self._editor.set_pre_input_hook(None)  # what is offered is for the first line only
        return line

    def _recall(self, history: History) -> None:
        for turn in history.read():
            with suppress(ValueError):  # a zero, which no line has
                self._editor.add_history(turn)

    def _remembering(self, use: Callable[[History], None]) -> None:
        """Use the history; one that cannot be used is told of once, and done without."""
        if self._history is None:
            return
        try:
            use(self._history)
        except OSError as error:
            self._history = None
            say(f"warning: what is typed is not remembered: {error.strerror}, {error.filename} (--no-memory: never)")


def ask_plainly(prompt: str) -> str:
    """Ask for a line of standard input, where standard output is no terminal and the prompt has no place there."""
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def _whole(line: Callable[[str], str]) -> str:
    lines = [line(PROMPT)]
    while _GOES_ON.search(lines[-1]):
        lines[-1] = lines[-1][:-1]
        try:
            lines.append(line(MORE))
        except EOFError:
            break
    return "\n".join(lines)
