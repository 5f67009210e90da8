"""The text that is being written: one sequence of token ids, of which a prefix has been shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from shared.stopping import FinishReason, Stopper


class Origin(StrEnum):
    """Who decided that a token stands in the text."""

    ACCEPTED = "accepted"  # drafted, and shown without asking
    CONFIRMED = "confirmed"  # drafted, asked, and the target's own choice
    TARGET = "target"  # written by the target
    ALONE = "alone"  # drafted, and shown because the target was away


@dataclass(slots=True)
class Token:
    """One settled token on its way to the user. Where provisional ones are shown, it takes the place of the first.

    Attributes:
        id: of the token.
        text: what it adds; may be empty while a character or a stop string is incomplete.
        origin: who decided that it stands.
        doubt: the verifier's about the token that was drafted here, 0 to 1, whether that stands or fell; None where
            nobody doubted.
    """

    id: int
    text: str
    origin: Origin
    doubt: float | None = None


@dataclass(slots=True)
class Provisional:
    """One drafted token that nobody has judged yet, behind all that are settled or provisional.

    Attributes:
        id: of the token.
        text: what it would add.
    """

    id: int
    text: str


@dataclass(slots=True)
class Retract:
    """Provisional tokens are taken back: the text goes, or will most likely go, another way.

    Attributes:
        tokens: how many of the last ones.
        text: what they would have added.
    """

    tokens: int
    text: str


# What happens to a text, as its reader is told of it.
Event = Token | Provisional | Retract


class Decoder(Protocol):
    """Turns ids into text, one at a time; `shared.tokenizer.StreamDecoder` does."""

    def push(self, token: int) -> str:
        """The text that is certain now."""

    def flush(self) -> str:
        """What was held back, at the end."""

    def fork(self) -> Self:
        """Another one that goes on from here by itself."""


class Text:
    """Prompt, tokens shown, and drafted tokens that are held back until the target has judged them.

    Attributes:
        sequence: all token ids; `sequence[shown:]` are held.
        shown: how many of them the user has seen, prompt included.
        origins, pieces, doubts: of the shown tokens after the prompt, see `Token`.
    """

    def __init__(self, prompt_ids: Sequence[int], decoder: Decoder, stopper: Stopper) -> None:
        self.sequence = list(prompt_ids)
        self.prompt_length = self.shown = len(self.sequence)
        self.origins: list[Origin] = []
        self.pieces: list[str] = []
        self.doubts: list[float | None] = []
        self._decoder = decoder
        self._stopper = stopper

    @property
    def finished(self) -> bool:
        return self._stopper.finish_reason is not None

    @property
    def finish_reason(self) -> FinishReason | None:
        """None while the text is being written."""
        return self._stopper.finish_reason

    @property
    def held(self) -> int:
        return len(self.sequence) - self.shown

    @property
    def remaining(self) -> int:
        """Tokens that may still be shown."""
        return self._stopper.remaining

    @property
    def continuation(self) -> list[int]:
        """The shown token ids after the prompt."""
        return self.sequence[self.prompt_length : self.shown]

    def hold(self, token: int) -> None:
        """Keep a drafted token back until the target has judged it."""
        self.sequence.append(token)

    def drop_held(self) -> None:
        """Forget the held tokens: the text goes on another way."""
        del self.sequence[self.shown :]

    def show(self, token: int, origin: Origin, doubt: float | None = None) -> Token:
        """Put `token` at the end of the shown text; if it was held there, it is held no longer."""
        if self.shown == len(self.sequence):
            self.sequence.append(token)
        elif self.sequence[self.shown] != token:
            self.drop_held()
            self.sequence.append(token)
        self.shown += 1
        piece = self._stopper.push(token, self._decoder.push(token))
        if self.finished:
            piece += self._stopper.flush(self._decoder.flush())
        self.origins.append(origin)
        self.pieces.append(piece)
        self.doubts.append(doubt)
        return Token(token, piece, origin, doubt)

    def break_off(self) -> None:
        """Nothing comes any more, and Ctrl-C may have come while a token was being shown: then it is not."""
        whole = min(len(self.origins), len(self.pieces), self.shown - self.prompt_length)
        del self.origins[whole:], self.pieces[whole:]
        self.shown = self.prompt_length + whole

    def cancel(self, reason: FinishReason = FinishReason.CANCELLED) -> None:
        """Let the loop end after what is under way; from any thread."""
        self._stopper.cancel(reason)

    def fork(self) -> Text:
        """A text that begins where the shown one ends, and goes on by itself."""
        return Text((), self._decoder.fork(), self._stopper.fork())
