"""A link that is longer than it is: answers are held back, so that what a longer way costs can be measured here."""

from __future__ import annotations

from collections.abc import Generator
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, sleep

from edge_client.target.transport import Link, Transport
from shared.errors import TargetError
from shared.wire.v1 import target_pb2 as wire

# Seconds after which a link that was closed is noticed.
_LOOK = 0.5


class Farther(Transport):
    """Another transport, over which every answer comes so much later.

    Requests are not held back. To whoever writes that is the same: what counts is how long an answer to something that
    just happened takes, on both ways together.

    Args:
        transport: the other, which is not closed with this one.
        address: of its target, for people.
        seconds: by which answers are late; with 0 it is the other.
    """

    def __init__(self, transport: Transport, address: str, seconds: float) -> None:
        self._transport, self.address, self._seconds = transport, address, seconds

    def describe(self, timeout: float) -> wire.DescribeResponse:
        """See `Transport.describe`."""
        found = self._transport.describe(timeout)
        sleep(self._seconds)
        return found

    def open(self) -> Link:
        """See `Transport.open`."""
        link = self._transport.open()
        return _FartherLink(link, self._seconds) if self._seconds else link

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        """See `Transport.fetch`."""
        return self._transport.fetch(digest, file, offset, timeout)

    def release(self, session_id: bytes) -> None:
        """See `Transport.release`."""
        self._transport.release(session_id)

    def close(self) -> None:
        """Does nothing."""


class _FartherLink(Link):
    """One stream. A thread takes note of when each answer came."""

    def __init__(self, link: Link, seconds: float) -> None:
        self._link, self._seconds = link, seconds
        self._answers: SimpleQueue[tuple[float, wire.DecodeResponse | TargetError]] = SimpleQueue()
        self._first: tuple[float, wire.DecodeResponse | TargetError] | None = None
        self._is_closed = False
        Thread(target=self._read, name="tandem-farther", daemon=True).start()

    def send(self, request: wire.DecodeRequest) -> None:
        self._link.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        end = monotonic() + max(timeout, 0.0)
        if self._first is None:
            try:
                self._first = self._answers.get(timeout=max(timeout, 0.0))
            except Empty:
                return None
        due, answer = self._first
        sleep(max(min(due, end) - monotonic(), 0.0))
        if due > end:
            return None
        if isinstance(answer, TargetError):
            raise answer  # whoever asks again learns the same
        self._first = None
        return answer

    def close(self) -> None:
        self._is_closed = True
        self._link.close()

    def _read(self) -> None:
        try:
            while not self._is_closed:
                if (answer := self._link.receive(_LOOK)) is not None:
                    self._answers.put((monotonic() + self._seconds, answer))
        except TargetError as error:
            self._answers.put((monotonic() + self._seconds, error))
