"""When a text is over, and which of it may be shown before that is known."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
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
        wanted = [id for id, word in spelled.items() if any(word in stop for stop in self._stops)]
        # What is not shown stands in the text that is searched as a lone surrogate, which no text has.
        self._marks = {id: chr(0xD800 + number) for number, id in enumerate(wanted)}
        for id in sorted(wanted, key=lambda id: -len(spelled[id])):
            marked = (stop.replace(spelled[id], self._marks[id]) for stop in self._stops)
            self._stops = tuple(dict.fromkeys((*self._stops, *marked)))
        self._unmark = dict.fromkeys(map(ord, self._marks.values()))
        if max_tokens < 1:
            raise InputError(f"max_tokens must be 1 or more, not {max_tokens}", options=("max_tokens",))
        self._max_tokens = max_tokens
        self._held = ""
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
        shown = self._release(text + self._marks.get(token, "")) if self._stops else text
        if self.finish_reason is None and self.tokens >= self._max_tokens:
            self.finish_reason = FinishReason.LENGTH
        return shown

    def flush(self, text: str = "") -> str:
        """The text is over: returns all that is left to show, `text` (of `StreamDecoder.flush`) included."""
        if self.finish_reason is FinishReason.STOP:
            return ""
        shown = self._release(text) if self._stops else text
        shown += self._held.translate(self._unmark)
        self._held = ""
        return shown

    def cancel(self, reason: FinishReason = FinishReason.CANCELLED) -> None:
        """The text is given up, if it has not ended yet."""
        self.finish_reason = self.finish_reason or reason

    def fork(self) -> Stopper:
        """Another one that goes on from here by itself."""
        return copy.copy(self)

    def _release(self, text: str) -> str:
        """Add `text` to what is held; returns what can no longer belong to a stop string."""
        if not text:
            return ""
        text = self._held + text
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if found:
            self.finish_reason = FinishReason.STOP
            self._held = ""
            return text[: min(found)[1]].translate(self._unmark)
        cut = min(_possible_start(text, stop) for stop in self._stops)
        self._held = text[cut:]
        return text[:cut].translate(self._unmark)


def _possible_start(text: str, stop: str) -> int:
    """Where in `text` the earliest unfinished occurrence of `stop` begins; its length if there is none."""
    start = text.find(stop[0], max(0, len(text) - len(stop) + 1))
    while start >= 0:
        if stop.startswith(text[start:]):
            return start
        start = text.find(stop[0], start + 1)
    return len(text)
