"""What an answer says, taken out of its text while that is written: words, and behind them at most one call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto
from uuid import uuid4

from edge_client.server.structure import Structure
from shared.chat.calling import CallForm

# Of answers that call nothing.
_NO_FORM = CallForm((), "", (), "", "", "", ())


class _Part(Enum):
    """Where in the answer the text goes on."""

    BEGINNING = auto()  # that of words or of a call
    WORDS = auto()
    NAME = auto()
    ARGUMENTS = auto()


@dataclass(frozen=True)
class News:
    """What a piece of text adds.

    Attributes:
        words: to be shown.
        is_called: from here on the name of the function is known.
        arguments: of its call, JSON.
    """

    words: str = ""
    is_called: bool = False
    arguments: str = ""


class Said:
    """One answer.

    Args:
        structure: what it keeps to.

    Attributes:
        words: so far; what may be the beginning of a call is held back.
        name: of the function that is called; None until it is known.
        arguments: of the call, JSON, as far as they are known.
        call_id: of the call.
        is_whole: the call has come to its end.
    """

    def __init__(self, structure: Structure) -> None:
        self.words = self.arguments = self._left = ""
        self.name: str | None = None
        self.is_whole = False
        self.call_id = uuid4().hex[:9]  # nine letters and digits: templates of Mistral's take no other ids
        self._form = structure.form or _NO_FORM
        self._names = () if structure.tools is None else structure.tools.names
        self._part = _Part.WORDS
        if structure.tools is not None and structure.tools.must:
            self._part = _Part.NAME
        elif structure.form is not None and not structure.form.tag:
            self._part = _Part.BEGINNING

    def write(self, text: str) -> News:
        """Take more of the text."""
        return self._take(text, False)

    def end(self, is_complete: bool) -> News:
        """There is no more.

        Args:
            is_complete: it ended where its grammar does, and was not cut.
        """
        self.is_whole = is_complete and self._part is _Part.ARGUMENTS
        return self._take("", True)

    def _take(self, text: str, is_end: bool) -> News:
        self._left += text
        words, arguments, was_called = "", "", self.name is not None
        if self._part is _Part.BEGINNING:
            self._begin(is_end)
        if self._part is _Part.WORDS:
            words = self._read_words(is_end)
        if self._part is _Part.NAME:
            self._read_name()
        if self._part is _Part.ARGUMENTS:
            arguments = self._read_arguments(is_end)
        self.words += words
        self.arguments += arguments
        return News(words, self.name is not None and not was_called, arguments)

    def _begin(self, is_end: bool) -> None:
        if self._left.startswith(self._form.opening):
            self._part = _Part.NAME
        elif is_end or not self._form.opening.startswith(self._left):
            self._part = _Part.WORDS

    def _read_words(self, is_end: bool) -> str:
        place = self._left.find(self._form.tag) if self._form.tag else -1
        if place >= 0:
            self._part = _Part.NAME
        elif is_end:
            place = len(self._left)
        else:
            place = len(self._left) - _begun(self._left, self._form.tag)
        words, self._left = self._left[:place], self._left[place:]
        return words

    def _read_name(self) -> None:
        for name in self._names:
            head = f"{self._form.opening}{name}{self._form.between}"
            if self._left.startswith(head):
                self.name, self._left, self._part = name, self._left[len(head) :], _Part.ARGUMENTS
                return

    def _read_arguments(self, is_end: bool) -> str:
        if is_end and not self.is_whole:
            return _object_in(self.arguments + self._left)[len(self.arguments) :]
        place = max(len(self._left) - len(self._form.closing), 0)
        arguments, self._left = self._left[:place], self._left[place:]
        return arguments


def _begun(text: str, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((count for count in range(min(len(text), len(tag)), 0, -1) if tag.startswith(text[-count:])), 0)


def _object_in(text: str) -> str:
    """The arguments in a call that was cut: without what was to follow, if they are whole."""
    try:
        return text[: json.JSONDecoder().raw_decode(text)[1]]
    except ValueError:
        return text
