"""A target in the same process: a transport without a port, over which every message travels as on a real one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Protocol, runtime_checkable

from shared.errors import InputError, LinkBroken, ProtocolError, TargetBusy, TargetRefused, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire


class ServiceStream(Protocol):
    """One `Decode` stream, as the target sees it. It remembers the session that its first request carried."""

    def answers(self, message: wire.DecodeRequest) -> Iterator[wire.DecodeResponse]:
        """Serve one request. Each answer is computed when it is asked for; whoever has enough stops asking.

        A request with guesses has no answers, and may come while those to an older one are computed.

        Raises, here or at any answer:
            ProtocolError, InputError: the request breaks a rule of the contract.
            OtherTarget: the stream means another target.
            TargetUnavailable: it cannot be served now; with `TargetBusy`, for want of room.
        """
        ...


class Service(Protocol):
    """A target without I/O. Called from one thread at a time: the transport sees to that."""

    @property
    def lives(self) -> int:
        """Changes when the target restarts, which breaks all streams."""
        ...

    def describe(self) -> wire.DescribeResponse:
        """What it serves."""
        ...

    def stream(self) -> ServiceStream:
        """Begin a stream."""
        ...

    def release(self, session_id: bytes) -> None:
        """Forget a session; unknown ones are no error."""
        ...


@runtime_checkable
class OfferingService(Protocol):
    """What a `Service` has besides, if its description offers a bundle."""

    def fetch(self, request: wire.FetchBundleRequest) -> Iterator[bytes]:
        """The bytes of a file of the bundle from an offset on, in chunks.

        Raises, here or at any chunk:
            TargetRefused: it is not the bundle that is offered now.
            ProtocolError: there is no such file, or no such place in it.
        """
        ...


class LoopbackTransport:
    """Reaches a `Service` in the same process; an `edge_client.target.transport.Transport`.

    Several threads may write over it at once, each on links of its own; passes of the target run one at a time, in the
    thread that waits for the answer. Nothing waits for a time: what cannot be answered now is a broken link at once.
    After `close` it works as before, so that a test may connect again over the same one.

    What a service raises on purpose becomes what a gRPC transport would raise. Any other exception, such as one of the
    test's own script, goes through as it is.

    Args:
        service: such as `edge_client.testing.ScriptedTarget`.

    Attributes:
        service: the same.
        released: the ids of sessions that were given back, in order.
        closed: whether `close` was called.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.released: list[bytes] = []
        self.closed = False
        self._lock = RLock()

    def describe(self, timeout: float) -> wire.DescribeResponse:
        """See `Transport.describe`."""
        with self._lock:
            return wire.DescribeResponse.FromString(self.service.describe().SerializeToString())

    def open(self) -> LoopbackLink:
        """See `Transport.open`."""
        return LoopbackLink(self.service, self._lock)

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        """See `Transport.fetch`."""
        if not isinstance(self.service, OfferingService):
            raise TargetRefused("the target refused the request: this target offers no bundle")
        request = wire.FetchBundleRequest(digest=digest, file=file, offset=offset)
        with _as_grpc_would():
            yield from self.service.fetch(wire.FetchBundleRequest.FromString(request.SerializeToString()))

    def release(self, session_id: bytes) -> None:
        """See `Transport.release`."""
        with self._lock:
            self.released.append(session_id)
            with suppress(ProtocolError, InputError):
                self.service.release(session_id)

    def close(self) -> None:
        """See `Transport.close`."""
        self.closed = True


class LoopbackLink:
    """One stream of a `LoopbackTransport`, served while somebody waits for an answer; a `Link`.

    Args:
        service: the target.
        lock: held while the target works; links to one target share one.
    """

    def __init__(self, service: Service, lock: RLock | None = None) -> None:
        self._service = service
        self._lock = lock or RLock()
        with self._lock, _as_grpc_would():
            self._life = service.lives
            self._stream = service.stream()
        self._requests: deque[wire.DecodeRequest] = deque()
        self._answers: Iterator[wire.DecodeResponse] = iter(())
        self._closed = False

    def send(self, request: wire.DecodeRequest) -> None:
        """See `Link.send`."""
        self._check()
        self._requests.append(wire.DecodeRequest.FromString(request.SerializeToString()))

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        """See `Link.receive`; does not wait, for nothing can come of it."""
        with self._lock:
            self._check()
            while True:
                self._take_in_guesses()
                if self._requests:  # a newer request ends what an older one left unfinished
                    self._end_answer()
                    with _as_grpc_would():
                        self._answers = self._stream.answers(self._requests.popleft())
                with _as_grpc_would():
                    answer = next(self._answers, None)
                if answer is not None:
                    return wire.DecodeResponse.FromString(answer.SerializeToString())
                if not self._requests:
                    raise LinkBroken(f"no answer within {timeout:.1f} seconds")

    def close(self) -> None:
        """See `Link.close`."""
        self._closed = True
        with self._lock:
            self._end_answer()

    def _check(self) -> None:
        if self._closed or self._life != self._service.lives:
            raise LinkBroken("the stream is closed")

    def _take_in_guesses(self) -> None:
        """Hand on the guesses that are next, which have no answer and end none."""
        while self._requests and self._requests[0].HasField("guesses"):
            with _as_grpc_would():
                deque(self._stream.answers(self._requests.popleft()), maxlen=0)

    def _end_answer(self) -> None:
        if isinstance(self._answers, Generator):
            self._answers.close()
        self._answers = iter(())


@contextmanager
def _as_grpc_would() -> Iterator[None]:
    """What a service raises on purpose, as a gRPC transport would raise it."""
    try:
        yield
    except (ProtocolError, InputError) as error:
        raise TargetRefused(f"the target refused the request: {error}") from None
    except (TargetBusy, LinkBroken):
        raise
    except TargetUnavailable as error:
        raise LinkBroken(str(error)) from None
