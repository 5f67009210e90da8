"""The text that is being written: one sequence of token ids, of which a prefix has been shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.stopping import FinishReason, Stopper
from shared.tokenizer import StreamDecoder


class Origin(StrEnum):
    """Who decided that a token stands in the text."""

    ACCEPTED = "accepted"  # drafted, and shown without asking
    CONFIRMED = "confirmed"  # drafted, asked, and the target's own choice
    TARGET = "target"  # written by the target


@dataclass(slots=True)
class Shown:
    """One token on its way to the user; `text` may be empty while a character or a stop string is incomplete."""

    token: int
    text: str
    origin: Origin


class Text:
    """Prompt, tokens shown, and drafted tokens that are held back until the target has judged them.

    Attributes:
        sequence: all token ids; `sequence[shown:]` are held.
        shown: how many of them the user has seen, prompt included.
        origins: of the shown tokens after the prompt.
    """

    def __init__(self, prompt_ids: list[int], decoder: StreamDecoder, stopper: Stopper) -> None:
        self.sequence = list(prompt_ids)
        self.prompt_length = self.shown = len(prompt_ids)
        self.origins: list[Origin] = []
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

    def show(self, token: int, origin: Origin) -> Shown:
        """Put `token` at the end of the shown text; if it was held there, it is held no longer."""
        if self.shown == len(self.sequence):
            self.sequence.append(token)
        elif self.sequence[self.shown] != token:
            self.drop_held()
            self.sequence.append(token)
        self.shown += 1
        self.origins.append(origin)
        piece = self._stopper.push(token, self._decoder.push(token))
        if self.finished:
            piece += self._stopper.flush(self._decoder.flush())
        return Shown(token, piece, origin)
