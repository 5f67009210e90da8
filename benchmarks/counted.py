"""A transport that counts what an edge's requests met: whether their target had the text that they build on."""

from __future__ import annotations

from collections.abc import Generator

from edge_client.target.transport import Link, Transport
from shared.wire.v1 import target_pb2 as wire


class CountedTransport:
    """A transport over another one, for an edge that writes one text at a time.

    Attributes:
        met: requests that were judged: their target had what they build on, or was sent all of it.
        missed: requests whose target had nothing of their text.

    Others are in neither: what they foresaw came out otherwise, so that the text is another one than they build on.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.met = self.missed = 0

    def describe(self, timeout: float) -> wire.DescribeResponse:
        """See `Transport.describe`."""
        return self._inner.describe(timeout)

    def open(self) -> Link:
        """See `Transport.open`."""
        return _CountedLink(self._inner.open(), self)

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        """See `Transport.fetch`."""
        return self._inner.fetch(digest, file, offset, timeout)

    def release(self, session_id: bytes) -> None:
        """See `Transport.release`."""
        self._inner.release(session_id)

    def close(self) -> None:
        """See `Transport.close`."""
        self._inner.close()


class _CountedLink:
    def __init__(self, inner: Link, counts: CountedTransport) -> None:
        self._inner, self._counts = inner, counts

    def send(self, request: wire.DecodeRequest) -> None:
        self._inner.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        answer = self._inner.receive(timeout)
        if answer is not None:
            self._counts.met += answer.HasField("verdict")
            self._counts.missed += answer.HasField("resync") and not answer.resync.held
        return answer

    def close(self) -> None:
        self._inner.close()
