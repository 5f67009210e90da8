"""Both sides in one process: a target with and without sockets, links that break on demand, a clock without waiting."""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from enum import Enum, auto

import grpc

from cloud_target.engine.interface import Engine, Feed
from cloud_target.protocol.answer import answer
from cloud_target.protocol.begin import begin
from cloud_target.protocol.requests import Limits, Terms, parse_request, parse_terms
from cloud_target.sessions.table import SessionTable
from edge_client.target.client import TargetClient
from edge_client.target.retry import Retry
from shared.errors import InputError, LinkBroken, ProtocolError, TargetBusy, TargetRefused, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1 import target_pb2_grpc


class FakeClock:
    """Time that passes only where somebody sleeps or waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Cloud:
    """A target process: an engine and its sessions. `restart` ends it, and with it every stream, and starts another."""

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self.lives = 0
        self.restart()

    def restart(self) -> None:
        self.lives += 1
        self.engine = self._make_engine()
        self.limits = Limits.of(self.engine)
        self.table = SessionTable(self.engine)

    def evict(self) -> None:
        """Forget every session, as if others had needed the room."""
        self.table.clear()


class LoopbackTransport:
    """Reaches a `Cloud` in the same process; every message is serialised on its way, as on a real one."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.closed = False
        self.released: list[bytes] = []

    def describe(self, timeout: float) -> wire.DescribeResponse:
        who, limits = self.cloud.engine.description, self.cloud.limits
        return wire.DescribeResponse(
            name=who.name,
            fingerprint=who.fingerprint,
            tokenizer_fingerprint=who.tokenizer_fingerprint,
            vocabulary=limits.vocabulary,
            context=limits.context,
            max_request_tokens=limits.max_request_tokens,
            dtype=who.dtype,
        )

    def open(self) -> LoopbackLink:
        return LoopbackLink(self.cloud)

    def release(self, session_id: bytes) -> None:
        self.released.append(session_id)
        self.cloud.table.release(session_id)

    def close(self) -> None:
        self.closed = True


class LoopbackLink:
    """One stream, served while somebody waits for an answer: passes run only then."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._life = cloud.lives
        self._requests: deque[wire.DecodeRequest] = deque()
        self._terms: Terms | None = None
        self._answers: Iterator[wire.DecodeResponse] = iter(())
        self._closed = False

    def send(self, request: wire.DecodeRequest) -> None:
        self._check()
        self._requests.append(wire.DecodeRequest.FromString(request.SerializeToString()))

    def receive(self, timeout: float) -> wire.DecodeResponse:
        self._check()
        while True:
            if self._requests:  # a newer request ends what an older one left unfinished
                self._answers = self.serve(self._requests.popleft())
            for response in self._answers:
                return wire.DecodeResponse.FromString(response.SerializeToString())
            if not self._requests:
                raise LinkBroken(f"no answer within {timeout} seconds")

    def close(self) -> None:
        self._closed = True
        self._answers = iter(())

    def _check(self) -> None:
        if self._closed or self._life != self._cloud.lives:
            raise LinkBroken("the stream is closed")

    def serve(self, message: wire.DecodeRequest) -> Generator[wire.DecodeResponse]:
        """The answers to one request, one at a time."""
        cloud = self._cloud
        try:
            self._terms = self._terms or parse_terms(message, cloud.limits)
            request = parse_request(message, self._terms, cloud.limits)
            session = begin(cloud.table, request, cloud.engine.context)
        except (ProtocolError, InputError) as error:
            raise TargetRefused(str(error)) from None
        except TargetUnavailable as error:
            raise TargetBusy(str(error)) from None
        table = cloud.table
        steps = answer(session, request, cloud.engine.context)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Feed):
                    step = steps.send(cloud.engine.forward([step])[0])
                else:
                    yield step
                    step = next(steps)
        except StopIteration:
            pass
        finally:
            steps.close()
            table.put_back(self._terms.key)
            table.check_integrity()


class Trouble(Enum):
    """What can happen to one message on its way."""

    NONE = auto()
    LOST_REQUEST = auto()  # the stream breaks before the target sees the request
    LOST_ANSWER = auto()  # the target did the work, but the stream breaks before the answer arrives
    SILENCE = auto()  # nothing arrives until the edge loses patience
    EVICTED = auto()  # the target forgets the session before it sees the request
    RESTART = auto()  # the target dies and comes back
    BUSY = auto()  # the target has no room


class LossyTransport:
    """A loopback on which every message meets the next trouble of `plan`, and none when that is used up."""

    def __init__(self, cloud: Cloud, plan: Iterable[Trouble], clock: FakeClock) -> None:
        self._inner = LoopbackTransport(cloud)
        self._plan = iter(plan)
        self._clock = clock
        self.describe, self.release, self.close = self._inner.describe, self._inner.release, self._inner.close

    def open(self) -> LossyLink:
        return LossyLink(self._inner.open(), self._inner.cloud, self._plan, self._clock)


class LossyLink:
    """See `LossyTransport`; sending and receiving take one step of the plan each."""

    def __init__(self, inner: LoopbackLink, cloud: Cloud, plan: Iterator[Trouble], clock: FakeClock) -> None:
        self._inner = inner
        self._cloud = cloud
        self._plan = plan
        self._clock = clock
        self.close = inner.close

    def send(self, request: wire.DecodeRequest) -> None:
        trouble = next(self._plan, Trouble.NONE)
        if trouble is Trouble.LOST_REQUEST:
            raise LinkBroken("cut")
        self._between(trouble)
        self._inner.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse:
        trouble = next(self._plan, Trouble.NONE)
        if trouble is Trouble.BUSY:
            raise TargetBusy("busy")
        if trouble is Trouble.SILENCE:
            self._clock.sleep(timeout)
            raise LinkBroken("silence")
        self._between(trouble)
        answer = self._inner.receive(timeout)
        if trouble is Trouble.LOST_ANSWER:
            raise LinkBroken("cut")
        return answer

    def _between(self, trouble: Trouble) -> None:
        if trouble is Trouble.EVICTED:
            self._cloud.evict()
        if trouble is Trouble.RESTART:
            self._cloud.restart()


def client_of(transport: LoopbackTransport | LossyTransport, clock: FakeClock | None = None) -> TargetClient:
    """A client on a fake transport, with a clock that costs no time and pauses that are always the same."""
    return TargetClient(transport, "loopback:0", Retry(), clock or FakeClock(), random.Random(0))


class Servicer(target_pb2_grpc.TargetServiceServicer):
    """A `Cloud` behind gRPC.

    Attributes:
        abort: ends every call with that status, unless None.
        ends: `Decode` ends without an answer.
        is_silent: `Decode` never answers.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.transport = LoopbackTransport(cloud)
        self.abort: grpc.StatusCode | None = None
        self.ends = self.is_silent = False

    def Describe(self, request, context):
        self._trouble(context)
        return self.transport.describe(1.0)

    def Decode(self, requests, context):
        self._trouble(context)
        link = self.transport.open()
        for request in requests:
            if self.ends:
                return
            try:
                if not self.is_silent:
                    yield from link.serve(request)
            except TargetRefused as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def Release(self, request, context):
        self.transport.release(request.session_id)
        return wire.ReleaseResponse()

    def _trouble(self, context) -> None:
        if self.abort is not None:
            context.abort(self.abort, "for a\n  test")


@contextmanager
def serving(servicer: Servicer, port: int = 0) -> Iterator[int]:
    """A gRPC server on loopback for the length of a `with` block; gives its port."""
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    target_pb2_grpc.add_TargetServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def unused_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
