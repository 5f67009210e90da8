"""What all kinds of answers have in common: how they come, and what Tandem knows beyond OpenAI's objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import time
from typing import Any, ClassVar, Generic, TypeVar

from edge_client.decoding.text import Event, Provisional, Token
from edge_client.server.asked import Asked
from edge_client.server.errors import ApiError
from edge_client.server.said import Said
from edge_client.stream import Completion
from shared.stopping import FinishReason

AskedT = TypeVar("AskedT", bound=Asked)
_REASONS = {FinishReason.END: "stop", FinishReason.STOP: "stop", FinishReason.LENGTH: "length"}

# An object of a stream.
Chunk = dict[str, Any]


class Answer(ABC, Generic[AskedT]):
    """The answer to one request, as a whole or in chunks.

    Attributes:
        asked: the request.
        completions: of the choices that have ended, by number.
        ends_with_done: whether a line says that a stream is whole.
    """

    ends_with_done: ClassVar[bool] = True

    def __init__(self, asked: AskedT, fingerprint: str) -> None:
        self.asked = asked
        self.completions: dict[int, Completion] = {}
        self._fingerprint = fingerprint
        self._created = int(time())

    @abstractmethod
    def whole(self) -> dict[str, Any]:
        """All choices, once they have ended."""

    def begin(self) -> list[Chunk]:
        """The chunks before anything is written."""
        return []

    @abstractmethod
    def said(self, number: int, events: Sequence[Event], so_far: dict[str, Any] | None = None) -> list[Chunk]:
        """What came of a choice, and its figures so far, for those who asked for events.

        How likely the tokens are is known of those that the target has seen: not yet.
        """

    @abstractmethod
    def end(self, number: int, completion: Completion) -> list[Chunk]:
        """The last chunks of a choice; how likely the tokens are stands here, where the target has seen them."""

    @abstractmethod
    def close(self) -> list[Chunk]:
        """The chunks behind all choices."""

    def fail(self, error: ApiError) -> list[Chunk]:
        """The chunks in the place of what can no more be written."""
        return [error.body]

    def counts(self) -> tuple[int, int, int]:
        """Tokens of the prompts, those of them that the target did not read again, and tokens written."""
        done, choices = self._in_order(), self.asked.choices
        prompt = sum(completion.prompt_tokens for completion in done[::choices])
        of_prompts = [done[i : i + choices] for i in range(0, len(done), choices)]
        cached = sum(max(completion.usage.reused_target for completion in each) for each in of_prompts)
        return prompt, cached, sum(len(completion.token_ids) for completion in done)

    def reports(self) -> list[dict[str, Any]]:
        """What went on, a choice each."""
        return [self._report(number, completion) for number, completion in enumerate(self._in_order())]

    def said_in(self, completion: Completion) -> Said:
        """What a choice says as a whole."""
        said = Said(self.asked.structure)
        said.write(completion.text)
        said.end(completion.finish_reason is FinishReason.END)
        return said

    def _in_order(self) -> list[Completion]:
        return [completion for _, completion in sorted(self.completions.items())]

    def _report(self, number: int, completion: Completion) -> dict[str, Any]:
        report = completion.usage.as_dict() | {
            "mode": str(completion.mode),
            "seed": seed_of(self.asked, number),
            "verifiers": completion.verifiers,
            "explanation": completion.explanation,
            "warnings": [*completion.warnings, *self.asked.structure.warnings],
        }
        if completion.cost:
            report["cost"] = completion.cost.as_dict()
        if self.asked.origins:
            columns = completion.token_ids, completion.pieces, completion.origins, completion.nll, completion.doubts
            report["written"] = [
                {
                    "id": id_,
                    "text": piece,
                    "origin": str(origin),
                    "logprob": None if nll is None else -nll,
                    "doubt": _shortly(doubt),
                }
                for id_, piece, origin, nll, doubt in zip(*columns, strict=True)
            ]
        return report


def finish_reason(completion: Completion) -> str:
    """OpenAI's word for why a text ended; ours where it has none."""
    return _REASONS.get(completion.finish_reason, str(completion.finish_reason))


def seed_of(asked: Asked, number: int) -> int:
    """The seed of a choice: equal prompts have seeds one after the other."""
    return (asked.seed + number % asked.choices) % (1 << 64)


def told(events: Sequence[Event], so_far: dict[str, Any] | None) -> dict[str, Any]:
    """What happened to a text, and sometimes its figures so far, as plain values."""
    figures = {} if so_far is None else {"so_far": so_far}
    return {"events": [plain(event) for event in events]} | figures


def text_of(events: Sequence[Event]) -> str:
    """What events add to the settled text."""
    return "".join(event.text for event in events if isinstance(event, Token))


def plain(event: Event) -> dict[str, Any]:
    """What happened to a text, as plain values."""
    match event:
        case Token():
            token = {"id": event.id, "text": event.text, "origin": str(event.origin), "doubt": _shortly(event.doubt)}
            return {"type": "token", **token}
        case Provisional():
            return {"type": "provisional", "id": event.id, "text": event.text}
    return {"type": "retract", "tokens": event.tokens, "text": event.text}


def token_logprobs(completion: Completion) -> list[dict[str, Any]]:
    """How likely each token is to the target at temperature 1; null where it has not seen one."""
    return [
        {"token": piece, "logprob": None if nll is None else -nll, "bytes": list(piece.encode()), "top_logprobs": []}
        for piece, nll in zip(completion.pieces, completion.nll, strict=True)
    ]


def _shortly(doubt: float | None) -> float | None:
    """A doubt with as many digits as mean something; it travels once a token."""
    return None if doubt is None else round(doubt, 6)
