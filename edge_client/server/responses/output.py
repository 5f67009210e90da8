"""The output of a response while it is written, as the events that OpenAI's clients put it together from."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from edge_client.server.answers import Chunk
from edge_client.server.responses.objects import function_call, message, text_part
from edge_client.server.said import News, Said

_ADDED, _DONE = "response.output_item.added", "response.output_item.done"
_GOING_ON = "in_progress"


class Output:
    """A message, a call of a function, or both one after the other.

    Args:
        said: by whoever writes; it grows.
    """

    def __init__(self, said: Said) -> None:
        self._said = said
        self._message_id, self._call_id = f"msg_{uuid4().hex}", f"fc_{uuid4().hex}"
        self._has_message = self._is_message_done = self._has_call = False

    def items(self, status: str, logprobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All of it, once nothing comes any more; an empty message where nothing was said.

        Args:
            status: of the response.
            logprobs: how likely the tokens of the message are; none of them where that was not asked for.
        """
        said = self._said
        found = []
        if said.words or said.name is None:
            # Words before a call are whole, whatever becomes of the call.
            status = status if said.name is None else "completed"
            found.append(message(self._message_id, [text_part(said.words, logprobs)], status))
        if said.name is not None:
            whole = "completed" if said.is_whole else "incomplete"
            found.append(function_call(self._call_id, said, said.arguments, whole))
        return found

    def news(self, news: News) -> list[Chunk]:
        """The events of a piece of text."""
        chunks = []
        if news.words:
            chunks += self._open_message()
            chunks.append(self._in_text("response.output_text.delta", delta=news.words, logprobs=[]))
        if news.is_called:
            if self._has_message:
                chunks += self._close_message("completed", [])
            self._has_call = True
            chunks.append(self._item(_ADDED, function_call(self._call_id, self._said, "", _GOING_ON)))
        if news.arguments:
            chunks.append(self._in_call("response.function_call_arguments.delta", delta=news.arguments))
        return chunks

    def end(self, status: str, logprobs: list[dict[str, Any]]) -> list[Chunk]:
        """The events behind the last piece; see `items`."""
        if not self._has_call:
            return [*self._open_message(), *self._close_message(status, logprobs)]
        call = self.items(status, logprobs)[-1]
        done = self._in_call("response.function_call_arguments.done", name=call["name"], arguments=call["arguments"])
        return [done, self._item(_DONE, call)]

    def _open_message(self) -> list[Chunk]:
        if self._has_message:
            return []
        self._has_message = True
        part = self._in_part("response.content_part.added", part=text_part("", []))
        return [self._item(_ADDED, message(self._message_id, [], _GOING_ON)), part]

    def _close_message(self, status: str, logprobs: list[dict[str, Any]]) -> list[Chunk]:
        part = text_part(self._said.words, logprobs)
        return [
            self._in_text("response.output_text.done", text=self._said.words, logprobs=logprobs),
            self._in_part("response.content_part.done", part=part),
            self._item(_DONE, message(self._message_id, [part], status)),
        ]

    @property
    def _call_index(self) -> int:
        return 1 if self._has_message else 0

    def _item(self, kind: str, item: dict[str, Any]) -> Chunk:
        index = self._call_index if item["type"] == "function_call" else 0
        return {"type": kind, "output_index": index, "item": item}

    def _in_part(self, kind: str, **what: Any) -> Chunk:
        return {"type": kind, "item_id": self._message_id, "output_index": 0, "content_index": 0, **what}

    _in_text = _in_part

    def _in_call(self, kind: str, **what: Any) -> Chunk:
        return {"type": kind, "item_id": self._call_id, "output_index": self._call_index, **what}
