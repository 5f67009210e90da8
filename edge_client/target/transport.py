"""What the edge needs of a connection to the target, whatever carries it.

A transport reaches one target; a link is one stream of `Decode`, for one generation. The real ones speak gRPC
(`edge_client/target/grpc_transport.py`); tests use others that run in the same process, or that break on purpose.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from shared.wire.v1 import target_pb2 as wire


class Link(Protocol):
    """One stream of requests and answers. After an error it is of no more use but to be closed."""

    def send(self, request: wire.DecodeRequest) -> None:
        """Hand a request over; does not wait.

        Raises:
            LinkBroken: the stream is closed.
        """

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        """The next answer, waiting for it for at most `timeout` seconds; None if there is none by then, but may yet be.

        Raises:
            LinkBroken: the stream broke, or ended.
            TargetBusy: the target has no room for the request now.
            TargetRefused: the target ended the stream because it refuses a request.
        """

    def close(self) -> None:
        """Give the stream up. Never raises, never blocks; twice is once."""


class Transport(Protocol):
    """Reaches one target."""

    def describe(self, timeout: float) -> wire.DescribeResponse:
        """Ask what is served, for at most `timeout` seconds.

        Raises:
            LinkBroken, TargetBusy, TargetRefused: as for `Link.receive`.
            TargetUnavailable: the transport is closed, or it and the target do not agree on encryption.
        """

    def open(self) -> Link:
        """A new stream. Does not wait for the connection: a target that is not there shows at the first receive.

        Raises:
            TargetUnavailable: the transport is closed.
        """

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        """The bytes of a file of the offered bundle from `offset` on, in chunks; one call of at most `timeout` seconds.

        A target may end a call before the end of the file. Closing the generator ends the call.

        Raises, here or at any chunk:
            LinkBroken, TargetBusy, TargetRefused: as for `Link.receive`.
            TargetUnavailable: the transport is closed.
        """

    def release(self, session_id: bytes) -> None:
        """Ask the target to forget a session. Never raises, never blocks, and may fail unnoticed."""

    def close(self) -> None:
        """Give everything up, after at most a second for releases that are under way. Never raises."""
