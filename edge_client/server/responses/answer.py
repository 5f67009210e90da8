"""What a request to `/v1/responses` is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from edge_client.decoding.text import Event
from edge_client.server.answers import Answer, Chunk, text_of, token_logprobs, told
from edge_client.server.errors import ApiError
from edge_client.server.responses.asked import AskedResponse
from edge_client.server.responses.kept import KeptResponses
from edge_client.server.responses.objects import ending, turn_of, usage
from edge_client.server.responses.output import Output
from edge_client.server.said import Said
from edge_client.stream import Completion
from shared.stopping import FinishReason


class ResponseAnswer(Answer[AskedResponse]):
    """One response.

    Args:
        kept: where it is kept once it is over, if that is wanted.
    """

    ends_with_done = False

    def __init__(self, asked: AskedResponse, fingerprint: str, kept: KeptResponses) -> None:
        super().__init__(asked, fingerprint)
        self._kept = kept
        self._id = f"resp_{uuid4().hex}"
        self._said = Said(asked.structure)
        self._output = Output(self._said)
        self._sent = 0

    def whole(self) -> dict[str, Any]:
        """See `Answer.whole`."""
        [completion] = self.completions.values()
        self._said.write(completion.text)
        self._said.end(completion.finish_reason is FinishReason.END)
        return self._finished(completion)

    def begin(self) -> list[Chunk]:
        """There is a response now."""
        response = self._response([], status="in_progress")
        return self._numbered([_told("response.created", response), _told("response.in_progress", response)])

    def said(self, number: int, events: Sequence[Event], so_far: dict[str, Any] | None = None) -> list[Chunk]:
        """See `Answer.said`."""
        chunks = self._output.news(self._said.write(text_of(events)))
        if self.asked.events and events:
            chunks.insert(0, {"type": "tandem.events", **told(events, so_far)})
        return self._numbered(chunks)

    def end(self, number: int, completion: Completion) -> list[Chunk]:
        """See `Answer.end`."""
        self.completions[number] = completion
        chunks = self._output.news(self._said.end(completion.finish_reason is FinishReason.END))
        status = ending(completion)["status"]
        return self._numbered([*chunks, *self._output.end(status, self._logprobs(completion))])

    def close(self) -> list[Chunk]:
        """The whole once more, with the figures."""
        [completion] = self.completions.values()
        response = self._finished(completion)
        return self._numbered([_told(f"response.{response['status']}", response)])

    def fail(self, error: ApiError) -> list[Chunk]:
        """See `Answer.fail`."""
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"  # OpenAI has a list of its own here
        reason = {"code": code, "message": str(error)}
        return self._numbered([_told("response.failed", self._response([], status="failed", error=reason))])

    def _finished(self, completion: Completion) -> dict[str, Any]:
        end = ending(completion)
        output = self._output.items(end["status"], self._logprobs(completion))
        response = self._response(output, usage=usage(self.counts(), self.reports()), **end)
        if self.asked.is_kept:
            self._kept.keep([*self.asked.turns, turn_of(self._said)], response)
        return response

    def _logprobs(self, completion: Completion) -> list[dict[str, Any]]:
        """Of the message's tokens; those of an answer that calls a function are not told apart."""
        return token_logprobs(completion) if self.asked.logprobs and self._said.name is None else []

    def _response(self, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "model": self.asked.model,
            "output": output,
            "error": None,
            "incomplete_details": None,
            "usage": None,
            **self.asked.echo,
            **more,
        }

    def _numbered(self, chunks: list[Chunk]) -> list[Chunk]:
        """Events in their order, from 0."""
        numbered = [{**chunk, "sequence_number": self._sent + i} for i, chunk in enumerate(chunks)]
        self._sent += len(chunks)
        return numbered


def _told(kind: str, response: dict[str, Any]) -> Chunk:
    return {"type": kind, "response": response}
