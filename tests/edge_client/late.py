"""A transport on which answers come late, as a plan says, without anybody waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_client.target.transport import Link, Transport
from shared.wire.v1 import target_pb2 as wire


class LateTransport(Transport):
    """Another transport, on which whoever only looks finds an answer where the plan says so.

    Args:
        inner: the other.
        plan: for each look, whether an answer that is due has come; used up, all have.
    """

    def __init__(self, inner: Transport, plan: Iterable[bool]) -> None:
        self._inner, self._plan = inner, iter(plan)

    def describe(self, timeout: float) -> wire.DescribeResponse:
        return self._inner.describe(timeout)

    def open(self) -> Link:
        return _LateLink(self._inner.open(), self._plan)

    def release(self, session_id: bytes) -> None:
        self._inner.release(session_id)

    def close(self) -> None:
        self._inner.close()


class _LateLink(Link):
    def __init__(self, inner: Link, plan: Iterator[bool]) -> None:
        self._inner, self._plan = inner, plan

    def send(self, request: wire.DecodeRequest) -> None:
        self._inner.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        if timeout <= 0 and not next(self._plan, True):
            return None
        return self._inner.receive(max(timeout, 1.0))

    def close(self) -> None:
        self._inner.close()
