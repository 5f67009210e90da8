"""The loop of a chat: turns in, answers out, and the commands between them."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from edge_client.bundles.bundle import Bundle
from edge_client.cli.answering import Answering
from edge_client.cli.console import say, with_options
from edge_client.cli.conversation import Answer, Conversation, describe, recorded
from edge_client.cli.conversation_file import load, save
from edge_client.cli.numbers import number, share
from edge_client.cli.process import exit_status_of
from edge_client.cli.slash import help_text, read_line
from edge_client.cli.turns import Turns
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.errors import INTERRUPTED, InputError, TandemError
from shared.paths import typed_path

Value = TypeVar("Value")


class Talk:
    """A conversation, led by lines.

    Args:
        edge: whose bundle's template writes the turns.
        answering: writes the answers.
        turns: where the user's turns come from.
        conversation: what was said so far.
        settings: how answers are written, but for their seeds.
        seed: of every answer, but for other answers to a question; None draws one for each.

    Attributes:
        error: the last one that ended an answer, and was not made good by another try, or that a command met with.
    """

    def __init__(
        self,
        edge: Edge,
        answering: Answering,
        turns: Turns,
        conversation: Conversation,
        settings: Settings,
        seed: int | None = None,
    ) -> None:
        self.conversation = conversation
        self.settings = settings
        self._edge = edge
        self._answering = answering
        self._turns = turns
        self._seed = seed
        self._commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: _print(help_text()),
            "mode": self._mode,
            "budget": self._budget,
            "temperature": self._temperature,
            "system": self._system,
            "edit": self._edit,
            "retry": self._retry,
            "undo": self._undo,
            "clear": self._clear,
            "save": lambda name: self._save(name, overwrite=False),
            "save!": lambda name: self._save(name, overwrite=True),
            "load": self._load,
            "stats": lambda _: _print(describe(self.conversation)),
            "quit": self._quit,
        }
        self._is_over = False
        self.error: TandemError | None = None

    def lead(self) -> None:
        """Take turns until the user wants no more.

        Raises:
            KeyboardInterrupt: a signal ends the program; Ctrl-C does not, where the turns are typed.
        """
        pressed = False
        while not self._is_over:
            try:
                turn = self._turns.read()
                pressed = False
                self._take(turn)
            except InputError as error:
                self.error = error
                say(str(error))
            except EOFError:
                if self._turns.is_typed:
                    print(file=sys.stderr)
                return
            except KeyboardInterrupt as end:
                if exit_status_of(end) != INTERRUPTED or not self._turns.is_typed:
                    raise
                print(file=sys.stderr)
                if pressed:
                    return
                pressed = True
                say("Ctrl-C again, or Ctrl-D, ends the chat")

    def _take(self, turn: str) -> None:
        if not turn.strip():
            return
        line = read_line(turn)
        if isinstance(line, str):
            self.conversation.ask(line)
            self._answer(secrets.randbits(32) if self._seed is None else self._seed)
        else:
            self._commands[line.name](line.argument)

    def _answer(self, seed: int, is_again: bool = False) -> None:
        settings = self.settings.override(seed=seed)
        written = self._answering.write(self.conversation.asked, settings)
        if written.completion is not None:
            self.conversation.answer(Answer.of(written.completion, settings))
        if written.error is not None:
            say(f"{with_options(written.error)}; /retry asks again")
        self.error = written.error or (None if is_again else self.error)
        if written.stopped and not self._turns.is_typed:
            raise KeyboardInterrupt  # nobody is there who could go on

    def _mode(self, name: str) -> None:
        self._set("mode", name, str)

    def _budget(self, text: str) -> None:
        self._set("budget", text, share)

    def _temperature(self, text: str) -> None:
        self._set("temperature", text, number)

    def _set(self, name: str, text: str, read: Callable[[str], Value]) -> None:
        """Change a setting, or, without a value, tell what it is."""
        if text:
            try:
                given: dict[str, Any] = {name: read(text)}
            except argparse.ArgumentTypeError as error:
                raise InputError(f"{name} {error}") from None
            self.settings = self.settings.override(**given)
        say(f"{name} {getattr(self.settings, name)}")

    def _system(self, text: str) -> None:
        if text:
            system = "" if text == '""' else text
            check_system(self._edge.bundle, system)
            self.conversation.system = system
        say(
            f"the model is told: {self.conversation.system}"
            if self.conversation.system
            else "the model is told nothing"
        )

    def _edit(self, _: str) -> None:
        exchange = self.conversation.undo()
        try:
            turn = self._turns.read(exchange.question)
        except BaseException:
            self.conversation.redo(exchange)
            raise
        if turn.strip():
            self._take(turn)
        else:
            self.conversation.redo(exchange)
            say("nothing was typed, and so nothing is taken back")

    def _retry(self, _: str) -> None:
        answer = self.conversation.last.answer
        if self._seed is None:
            seed = secrets.randbits(32)
        elif answer is None or answer.seed is None:
            seed = self._seed
        else:
            seed = (answer.seed + 1) % (1 << 64)
        self._answer(seed, is_again=True)

    def _undo(self, _: str) -> None:
        question = self.conversation.undo().question
        say(f"taken back: {_shortened(question)}")

    def _clear(self, _: str) -> None:
        self.conversation = Conversation(self.conversation.system)
        say("all turns are forgotten")

    def _save(self, name: str, overwrite: bool) -> None:
        kept = {"bundle": self._edge.bundle.manifest.name, "settings": recorded(self.settings)}
        save(typed_path(name), {**self.conversation.as_dict(), **kept}, overwrite)
        say(f"saved in {name}")

    def _load(self, name: str) -> None:
        loaded = load(typed_path(name))
        if loaded.messages:
            self._edge.bundle.encode_chat(loaded.messages)
        self.conversation = loaded
        count = len(loaded.exchanges)
        say(f"{count} question{'s' * (count != 1)} in {name}; the settings stay as they are: mode {self.settings.mode}")

    def _quit(self, _: str) -> None:
        self._is_over = True


def check_system(bundle: Bundle, system: str) -> None:
    """See that the bundle can lead a chat, and takes this text of the system's, if it is not empty.

    Raises:
        InputError: it does not.
    """
    conversation = Conversation(system)
    conversation.ask("?")
    bundle.encode_chat(conversation.messages)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _print(text: str) -> None:
    print(text, file=sys.stderr)
