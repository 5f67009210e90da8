"""A transport whose target takes its time to read, as a plan says, without anybody waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_client.target.transport import Link, Transport
from shared.wire.v1 import target_pb2 as wire


class ReadingTransport(Transport):
    """Another transport, on which words about how far a text is read come before answers.

    Args:
        inner: the other.
        plan: for each answer, how many words come before it; used up, none.
    """

    def __init__(self, inner: Transport, plan: Iterable[int]) -> None:
        self._inner, self._plan = inner, iter(plan)

    def describe(self, timeout: float) -> wire.DescribeResponse:
        return self._inner.describe(timeout)

    def open(self) -> Link:
        return _ReadingLink(self._inner.open(), self._plan)

    def release(self, session_id: bytes) -> None:
        self._inner.release(session_id)

    def close(self) -> None:
        self._inner.close()


class _ReadingLink(Link):
    def __init__(self, inner: Link, plan: Iterator[int]) -> None:
        self._inner, self._plan = inner, plan
        self._ends: dict[int, int] = {}
        self._last: tuple[int, int] = 0, 0
        self._words = 0
        self._answer: wire.DecodeResponse | None = None

    def send(self, request: wire.DecodeRequest) -> None:
        self._ends[request.request_id] = request.position + len(request.tokens)
        self._inner.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        if self._answer is None:
            self._answer = self._inner.receive(timeout)
            if self._answer is None:
                return None
            self._words = next(self._plan, 0)
        if not self._words:
            answer, self._answer = self._answer, None
            return answer
        self._words -= 1
        number = self._answer.request_id
        of = self._ends[number]
        read = min(self._last[1] + 1, of) if self._last[0] == number else 0
        self._last = number, read
        return wire.DecodeResponse(request_id=number, reading=wire.Reading(read=read, of=of))

    def close(self) -> None:
        self._inner.close()
