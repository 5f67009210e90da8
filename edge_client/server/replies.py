"""Answers over HTTP whose client may leave before their end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Result = TypeVar("Result")

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies that collect answers are asked not to
]


async def unless_left(
    receive: Receive, work: Callable[[], Coroutine[Any, Any, Result]], leave: Callable[[], None]
) -> Result | None:
    """What `work` returns; None, if the client leaves before.

    Args:
        receive: of a request whose body has been read.
        leave: called where the client leaves, or `work` does not come to its end.
    """
    working, watching = asyncio.create_task(work()), asyncio.create_task(_left(receive))
    is_done = False
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        found = working.result() if working.done() else None
        is_done = working.done()
        return found
    finally:
        if not is_done:
            leave()
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# The status of an answer that nobody waits for any more: nginx calls it so, and HTTP has none.
LEFT = 499

# The line behind the last chunk of a stream that is whole.
DONE = "data: [DONE]\n\n"


def event_of(chunk: dict[str, Any]) -> str:
    """A chunk as a server-sent event; one that has a type is named by it, too."""
    data = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
    return f"event: {chunk['type']}\ndata: {data}\n\n" if "type" in chunk else f"data: {data}\n\n"


class Events(Response):
    """Server-sent events.

    Args:
        events: each as it is sent.
        leave: called where the client leaves before the end.
    """

    def __init__(self, events: AsyncIterator[str], leave: Callable[[], None]) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_left(receive, lambda: self._send(send), self._leave)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async for event in self._events:
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
