"""When a text is over, and which of it may be shown before that is known."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from shared.errors import InputError


class FinishReason(StrEnum):
    """Why a text ended."""

    END = "end"  # the model wrote a token that ends the text
    STOP = "stop"  # a stop string appeared
    LENGTH = "length"  # the tokens are used up
    CANCELLED = "cancelled"  # it was given up
    INTERRUPTED = "interrupted"  # a signal, such as Ctrl-C, ended the program
    ERROR = "error"  # what is left could not be written, because the target cannot be asked


class Stopper:
    """Watches one text. Nothing of a stop string, nor anything behind it, is ever returned.

    Text that may be the beginning of a stop string is held back until it is clear what it is; if it is none, not a
    character is lost. Of several stop strings the one that is complete first counts, and of those the longest, so
    the outcome does not depend on how the text is split into tokens.

    Args:
        end_ids: tokens that end the text; their own text is not shown.
        stops: strings that end the text; not empty.
        max_tokens: the most tokens, an ending token included; at least 1.
        spelled: tokens that are not shown, and how a stop string may spell them.

    Attributes:
        finish_reason: None while the text goes on.
        tokens: how many were pushed.

    Raises:
        InputError: an empty stop string, or no tokens allowed.
    """

    def __init__(
        self,
        end_ids: Iterable[int],
        stops: Iterable[str],
        max_tokens: int,
        spelled: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._end_ids = frozenset(end_ids)
        self._stops = tuple(dict.fromkeys(stops))
        if "" in self._stops:
            raise InputError("a stop string must not be empty; give the text to stop at", options=("stop",))
        # What is not shown stands in the text that is searched as it is spelled, for as long as anybody looks for it.
        self._spelled = {id: word for id, word in spelled.items() if any(word in stop for stop in self._stops)}
        if max_tokens < 1:
            raise InputError(f"max_tokens must be 1 or more, not {max_tokens}", options=("max_tokens",))
        self._max_tokens = max_tokens
        self._held = _Searched()
        self.finish_reason: FinishReason | None = None
        self.tokens = 0

    @property
    def remaining(self) -> int:
        """How many more tokens may be pushed."""
        return 0 if self.finish_reason else self._max_tokens - self.tokens

    def push(self, token: int, text: str) -> str:
        """Take the next token and the text that it made certain; returns the text that may be shown now.

        When `finish_reason` is set afterwards, the token was the last: call `flush`. Tokens after it are ignored.
        """
        if self.finish_reason is not None:
            return ""
        self.tokens += 1
        if token in self._end_ids:
            self.finish_reason = FinishReason.END
            return ""
        shown = self._release(text, self._spelled.get(token, "")) if self._stops else text
        if self.finish_reason is None and self.tokens >= self._max_tokens:
            self.finish_reason = FinishReason.LENGTH
        return shown

    def flush(self, text: str = "") -> str:
        """The text is over: returns all that is left to show, `text` (of `StreamDecoder.flush`) included."""
        if self.finish_reason is FinishReason.STOP:
            return ""
        shown = self._release(text) if self._stops else text
        shown += self._held.shown
        self._held = _Searched()
        return shown

    def cancel(self, reason: FinishReason = FinishReason.CANCELLED) -> None:
        """The text is given up, if it has not ended yet."""
        self.finish_reason = self.finish_reason or reason

    def fork(self) -> Stopper:
        """Another one that goes on from here by itself."""
        return copy.copy(self)

    def _release(self, text: str, hidden: str = "") -> str:
        """Add `text`, and a token that is not shown, to what is held; returns what can no longer belong to a stop."""
        if not text and not hidden:
            return ""
        searched = self._held.then(text, hidden)
        found = [(start + len(stop), start) for stop in self._stops if (start := searched.find(stop)) >= 0]
        if found:
            self.finish_reason = FinishReason.STOP
            self._held = _Searched()
            return searched.split(min(found)[1])[0].shown
        released, self._held = searched.split(min(map(searched.possible_start, self._stops)))
        return released.shown


@dataclass(frozen=True)
class _Searched:
    """Text in which tokens that are not shown are spelled out.

    Attributes:
        hidden: where these begin and end. Of such a word a stop string holds all or nothing.
    """

    text: str = ""
    hidden: tuple[tuple[int, int], ...] = ()

    @property
    def shown(self) -> str:
        """Without what is hidden."""
        borders = [0, *(border for word in self.hidden for border in word), len(self.text)]
        return "".join(self.text[begin:end] for begin, end in zip(borders[::2], borders[1::2], strict=True))

    def then(self, text: str, hidden: str) -> _Searched:
        """With more text, and a hidden word behind it, unless that is empty."""
        text = self.text + text
        word = ((len(text), len(text) + len(hidden)),) if hidden else ()
        return _Searched(text + hidden, self.hidden + word)

    def split(self, place: int) -> tuple[_Searched, _Searched]:
        """What is before a place, which is not within a hidden word, and what is behind it."""
        before = tuple(word for word in self.hidden if word[1] <= place)
        behind = tuple((begin - place, end - place) for begin, end in self.hidden[len(before) :])
        return _Searched(self.text[:place], before), _Searched(self.text[place:], behind)

    def find(self, stop: str) -> int:
        """Where the first occurrence of a stop string begins; -1 if there is none."""
        start = self.text.find(stop)
        while start >= 0 and (self._is_within(start) or self._is_within(start + len(stop))):
            start = self.text.find(stop, start + 1)
        return start

    def possible_start(self, stop: str) -> int:
        """Where the earliest unfinished occurrence of a stop string begins; the text's length if there is none."""
        start = self.text.find(stop[0], max(0, len(self.text) - len(stop) + 1))
        while start >= 0:
            if stop.startswith(self.text[start:]) and not self._is_within(start):
                return start
            start = self.text.find(stop[0], start + 1)
        return len(self.text)

    def _is_within(self, place: int) -> bool:
        return any(begin < place < end for begin, end in self.hidden)
