"""One text as its reader sees it: tokens as they come, and everything about it at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from edge_client.decoding.text import Origin, Retract, Text, Token
from edge_client.usage.audit import AuditReport
from edge_client.usage.summary import Summary
from shared.config import Mode
from shared.errors import InputError
from shared.stopping import FinishReason

Event = TypeVar("Event", bound=Token | Retract)


@dataclass(frozen=True)
class Completion:
    """A text that is written, or was given up.

    Attributes:
        text: what was written after the prompt.
        token_ids, origins: of each token, in order.
        finish_reason: why it ended; None if it was given up.
        mode: in which it was written.
        prompt_tokens: length of the prompt.
        usage: calls, bytes and times.
        audit: how far the text strayed from the target's own, and on how many tokens that rests.
        warnings: why the calibration may not hold here, and what to do about it; a sentence each.
    """

    text: str
    token_ids: list[int]
    origins: list[Origin]
    finish_reason: FinishReason | None
    mode: Mode
    prompt_tokens: int
    usage: Summary
    audit: AuditReport
    warnings: list[str]

    @classmethod
    def of(cls, text: Text, mode: Mode, usage: Summary, audit: AuditReport, warnings: list[str]) -> Completion:
        """What has become of a text."""
        return cls(
            "".join(text.pieces),
            text.continuation,
            list(text.origins),
            text.finish_reason,
            mode,
            text.prompt_length,
            usage,
            audit,
            list(warnings),
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values in one flat dictionary, for programs."""
        return {
            "text": self.text,
            "token_ids": self.token_ids,
            "origins": [str(origin) for origin in self.origins],
            "mode": str(self.mode),
            "finish_reason": str(self.finish_reason),
            "prompt_tokens": self.prompt_tokens,
            "warnings": self.warnings,
            **self.usage.as_dict(),
        }


class Stream(Generic[Event]):
    """One text being written: iterate over it to get the tokens. For one thread at a time.

    Whoever stops before the end closes it, or uses it as a context manager, so that the target forgets the session.

    Args:
        text: begins as the prompt.
        write: makes the iterator that writes, and sets `completion` at its end.

    Attributes:
        text, mode: what is written, and how.
        warnings: why the calibration may not hold here, and what to do about it; complete at the end.
        completion: the text and its figures, of one that was given up too; None before its end.
    """

    def __init__(
        self, text: Text, mode: Mode, warnings: list[str], write: Callable[[Stream[Event]], Generator[Event]]
    ) -> None:
        self.text = text
        self.mode = mode
        self.warnings = warnings
        self.completion: Completion | None = None
        self._events = write(self)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def finish(self) -> Completion:
        """Write what is left, and return the whole.

        Raises:
            InputError: the stream was closed before it had begun.
        """
        for _ in self._events:
            pass
        if self.completion is None:
            raise InputError("this stream was closed before it had begun, so there is no text; ask for a new one")
        return self.completion

    def close(self) -> None:
        """Write no more; does nothing a second time, or after the end."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
