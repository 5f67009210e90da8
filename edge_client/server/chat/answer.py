"""What a request to `/v1/chat/completions` is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_client.decoding.text import Event
from edge_client.server.answers import Chunk, text_of, token_logprobs
from edge_client.server.asked import Asked
from edge_client.server.choices import ChoicesAnswer
from edge_client.server.said import Said
from edge_client.stream import Completion
from shared.stopping import FinishReason


class ChatAnswer(ChoicesAnswer):
    """Messages, or calls of functions."""

    prefix = "chatcmpl"
    kind, chunk_kind = "chat.completion", "chat.completion.chunk"

    def __init__(self, asked: Asked, fingerprint: str) -> None:
        super().__init__(asked, fingerprint)
        self._said = [Said(asked.structure) for _ in range(asked.choices)]

    def begin(self) -> list[Chunk]:
        """Who speaks."""
        tools = self.asked.structure.tools
        delta = {"role": "assistant", "content": None if tools is not None and tools.must else ""}
        return [self._chunk({"index": number, "delta": delta}) for number in range(self.asked.choices)]

    def _whole_choice(self, completion: Completion) -> dict[str, Any]:
        said = self.said_in(completion)
        message: dict[str, Any] = {"role": "assistant", "content": said.words, "refusal": None}
        tools = self.asked.structure.tools
        if said.name is not None or (tools is not None and tools.must):
            calls = None
            if said.name is not None:
                function = {"name": said.name, "arguments": said.arguments}
                calls = [{"id": said.call_id, "type": "function", "function": function}]
            message |= {"content": said.words or None, "tool_calls": calls}
        return {"message": message}

    def _piece(self, number: int, events: Sequence[Event], done: Completion | None = None) -> dict[str, Any]:
        said = self._said[number]
        news = said.write(text_of(events)) if done is None else said.end(done.finish_reason is FinishReason.END)
        delta: dict[str, Any] = {"content": news.words} if news.words else {}
        if news.is_called:
            function = {"name": said.name, "arguments": news.arguments}
            delta["tool_calls"] = [{"index": 0, "id": said.call_id, "type": "function", "function": function}]
        elif news.arguments:
            delta["tool_calls"] = [{"index": 0, "function": {"arguments": news.arguments}}]
        return {"delta": delta}

    def _reason(self, completion: Completion) -> str:
        return "tool_calls" if self.said_in(completion).is_whole else super()._reason(completion)

    def _logprobs(self, completion: Completion) -> dict[str, Any]:
        return {"content": token_logprobs(completion), "refusal": None}
