"""One text as its reader sees it: tokens as they come, and everything about it at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar
from weakref import WeakMethod

from edge_client.decoding.text import Event, Origin, Text
from edge_client.target.reading import ReadingNote
from edge_client.usage.audit_counts import AuditReport
from edge_client.usage.cost import Cost
from edge_client.usage.summary import Summary
from shared.config import Mode
from shared.errors import InputError
from shared.stopping import FinishReason

Shown_co = TypeVar("Shown_co", bound=Event, covariant=True)


class LossWarning(str):
    """A warning that something is lost or cannot be kept: worth telling where others are not."""


class CostWarning(str):
    """A warning about what may be spent: a cap is reached, or nobody counts. Worth telling where others are not."""


class LinkWarning(str):
    """A warning that the target did not answer for a while: whoever gave `notify` was told of it at once."""


class ReadingWarning(LinkWarning):
    """How far the target has read a long text: told while one waits, of which the last word is kept."""


@dataclass(frozen=True)
class Completion:
    """A text that is written, or was given up.

    Attributes:
        text: what was written after the prompt.
        token_ids, origins, pieces: of each token, in order; the pieces together are the text.
        nll: of each token, -ln of its probability under the target at temperature 1, nats, as an audit codes it: within
            a 64th of its root, and 15.9 at most; None where the target has not seen it.
        doubts: of each token, the verifier's about the one that was drafted there, see `Token`.
        finish_reason: why it ended.
        mode: in which it was written.
        prompt_tokens: length of the prompt.
        seed: of the noise that it was drawn with.
        usage: calls, bytes and times.
        audit: how far the text strayed from the target's own, and on how many tokens that rests.
        warnings: why the calibration may not hold here, what is odd about the text, what was not done as asked, and
            when the target did not answer; a sentence each.
        verifiers: about how many drafted tokens each of the bundle's verifiers decided, by name; None where there is
            only one.
        cost: what the target did for it, and what that costs; None where none was asked.
        explanation: in mode `auto`, who led and why, in a sentence with the numbers; otherwise None.
    """

    text: str
    token_ids: list[int]
    origins: list[Origin]
    pieces: list[str]
    nll: list[float | None]
    doubts: list[float | None]
    finish_reason: FinishReason
    mode: Mode
    prompt_tokens: int
    seed: int
    usage: Summary
    audit: AuditReport
    warnings: list[str]
    cost: Cost | None = None
    verifiers: dict[str, int] | None = None
    explanation: str | None = None

    @classmethod
    def of(
        cls,
        text: Text,
        mode: Mode,
        seed: int,
        usage: Summary,
        audit: AuditReport,
        warnings: list[str],
        nll: list[float | None],
        cost: Cost | None,
        verifiers: dict[str, int] | None,
    ) -> Completion:
        """What has become of a text."""
        return cls(
            "".join(text.pieces),
            text.continuation,
            list(text.origins),
            list(text.pieces),
            nll,
            list(text.doubts),
            text.finish_reason or FinishReason.CANCELLED,
            mode,
            text.prompt_length,
            seed,
            usage,
            audit,
            list(warnings),
            cost,
            verifiers,
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values in one flat dictionary, for programs."""
        return {
            "text": self.text,
            "token_ids": self.token_ids,
            "origins": [str(origin) for origin in self.origins],
            "nll": self.nll,
            "doubts": self.doubts,
            "mode": str(self.mode),
            "finish_reason": str(self.finish_reason),
            "prompt_tokens": self.prompt_tokens,
            "seed": self.seed,
            "warnings": self.warnings,
            "cost": None if self.cost is None else self.cost.as_dict(),
            "verifiers": self.verifiers,
            "explanation": self.explanation,
            **self.usage.as_dict(),
        }


@dataclass
class Ending:
    """How a text ends: what its writer leaves for its reader.

    The writer knows no more of the stream than this. If it knew the stream, the two would hold each other, and a stream
    that nobody holds any more would end where the garbage collector happens to run, and not at once.
    """

    warnings: list[str] = field(default_factory=list)
    completion: Completion | None = None
    so_far: WeakMethod[Callable[[], Summary]] | None = None

    def told(self, sentence: str, is_capped: bool) -> None:
        """Its reader was told of the link, or of a cap."""
        kind = ReadingWarning if isinstance(sentence, ReadingNote) else CostWarning if is_capped else LinkWarning
        if kind is ReadingWarning and self.warnings and isinstance(self.warnings[-1], ReadingWarning):
            self.warnings.pop()
        self.warnings.append(kind(sentence))


class Stream(Generic[Shown_co]):
    """One text being written: an iterator of its tokens, or of all events, for one thread at a time.

    Whoever stops before the end closes it, or uses it as a context manager, so that the target forgets the session.

    Args:
        text: begins as the prompt.
        ending: filled in by the writer.
        events: the writer.

    Attributes:
        text, mode: what is written, and how.
    """

    def __init__(self, text: Text, mode: Mode, ending: Ending, events: Generator[Shown_co]) -> None:
        self.text = text
        self.mode = mode
        self._ending = ending
        self._events = events

    @property
    def warnings(self) -> list[str]:
        """Why the calibration may not hold here, and what to do about it; complete at the end."""
        return self._ending.warnings

    @property
    def so_far(self) -> Summary | None:
        """The figures of what there is of the text, for the thread that reads it; None before the first token, and at
        the end, where `completion` has them."""
        made = self._ending.so_far and self._ending.so_far()
        return made() if made else None

    @property
    def completion(self) -> Completion:
        """The text and its figures, of one that was given up too.

        Raises:
            InputError: it has not ended yet, or was closed before it began.
        """
        if self._ending.completion is None:
            raise InputError("this text has not ended; read its stream to the end, or close it after its first token")
        return self._ending.completion

    def __iter__(self) -> Generator[Shown_co]:
        return self._events

    def __next__(self) -> Shown_co:
        return next(self._events)

    def finish(self) -> Completion:
        """Write what is left, and return the whole; of a text that has ended already, what there is of it.

        Raises:
            InputError: it was closed before it began.
            TandemError: what ended it in the middle.
        """
        for _ in self._events:
            pass
        return self.completion

    def close(self) -> None:
        """Write no more. Twice is once, and after the end it does nothing.

        From another thread than the one that reads, it ends the text after the token, or the call, that is under way.
        """
        with suppress(ValueError):  # another thread is just writing a token
            self._events.close()
            return
        self.text.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
