"""Answers with choices, as completions and chats have them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import uuid4

from edge_client.decoding.text import Event
from edge_client.server.answers import Answer, Chunk, finish_reason, told
from edge_client.server.asked import Asked
from edge_client.stream import Completion


class ChoicesAnswer(Answer[Asked]):
    """What both have in common.

    Attributes:
        prefix: of ids.
        kind, chunk_kind: what the whole is called, and a chunk.
    """

    prefix: ClassVar[str]
    kind: ClassVar[str]
    chunk_kind: ClassVar[str]

    def __init__(self, asked: Asked, fingerprint: str) -> None:
        super().__init__(asked, fingerprint)
        self._id = f"{self.prefix}-{uuid4().hex}"

    @abstractmethod
    def _whole_choice(self, completion: Completion) -> dict[str, Any]:
        """What a choice has beside its number, `logprobs` and `finish_reason`."""

    @abstractmethod
    def _piece(self, number: int, events: Sequence[Event], done: Completion | None = None) -> dict[str, Any]:
        """The same of a chunk, with nothing in its fields where there is no news; `done` at the end."""

    @abstractmethod
    def _logprobs(self, completion: Completion) -> dict[str, Any]:
        """How likely each token is."""

    def _reason(self, completion: Completion) -> str:
        return finish_reason(completion)

    def whole(self) -> dict[str, Any]:
        """See `Answer.whole`."""
        choices = [
            {"index": number, **self._whole_choice(done), **self._ending(done)}
            for number, done in sorted(self.completions.items())
        ]
        return self._head(self.kind) | {"choices": choices, "usage": self._usage()}

    def said(self, number: int, events: Sequence[Event], so_far: dict[str, Any] | None = None) -> list[Chunk]:
        """See `Answer.said`."""
        piece = self._piece(number, events)
        if not any(piece.values()) and not self.asked.events:
            return []
        if self.asked.events:
            piece["tandem"] = told(events, so_far)
        return [self._chunk({"index": number, **piece})]

    def end(self, number: int, completion: Completion) -> list[Chunk]:
        """See `Answer.end`."""
        self.completions[number] = completion
        piece = self._piece(number, (), completion)
        return [self._chunk({"index": number, **piece, **self._ending(completion)})]

    def close(self) -> list[Chunk]:
        """The figures, for clients that want to know what it took."""
        if not self.asked.with_usage:
            return []
        return [self._head(self.chunk_kind) | {"choices": [], "usage": self._usage()}]

    def _ending(self, completion: Completion) -> dict[str, Any]:
        logprobs = self._logprobs(completion) if self.asked.logprobs else None
        return {"logprobs": logprobs, "finish_reason": self._reason(completion)}

    def _usage(self) -> dict[str, Any]:
        prompt, cached, written = self.counts()
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": cached},
            "tandem": self.reports(),
        }

    def _chunk(self, choice: dict[str, Any]) -> Chunk:
        chunk = self._head(self.chunk_kind) | {"choices": [{"logprobs": None, "finish_reason": None} | choice]}
        return chunk | ({"usage": None} if self.asked.with_usage else {})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self.asked.model,
            "system_fingerprint": self._fingerprint,
        }
