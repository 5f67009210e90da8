"""Transport and link over gRPC. No `grpc.RpcError` leaves this file."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import RLock, Thread
from time import monotonic
from typing import Any

# The library prints its own account of broken connections on the terminal; ours goes through exceptions.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from edge_client.target.credentials import Credentials
from edge_client.target.diagnosis import why_not
from shared.addresses import is_loopback, parse_address
from shared.errors import (
    AccessDenied,
    LinkBroken,
    OtherTarget,
    TargetBusy,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)
from shared.wire import metadata
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

RELEASE_WAIT = 1.0

_Status = grpc.StatusCode
# What each status means to the edge. Proxies and restarts break streams in every way of the first group.
ERRORS: dict[grpc.StatusCode, type[TargetError]] = {
    _Status.OK: LinkBroken,  # a stream may not end by itself
    _Status.UNAVAILABLE: LinkBroken,
    _Status.CANCELLED: LinkBroken,
    _Status.INTERNAL: LinkBroken,
    _Status.UNKNOWN: LinkBroken,
    _Status.ABORTED: LinkBroken,
    _Status.DATA_LOSS: LinkBroken,
    _Status.DEADLINE_EXCEEDED: LinkBroken,
    _Status.RESOURCE_EXHAUSTED: TargetBusy,
    _Status.INVALID_ARGUMENT: TargetRefused,
    _Status.NOT_FOUND: TargetRefused,
    _Status.ALREADY_EXISTS: TargetRefused,
    _Status.PERMISSION_DENIED: TargetRefused,
    _Status.UNAUTHENTICATED: AccessDenied,
    _Status.FAILED_PRECONDITION: TargetRefused,
    _Status.OUT_OF_RANGE: TargetRefused,
    _Status.UNIMPLEMENTED: TargetRefused,
}

_OPTIONS = {
    # A target that restarts is found again within a second or two.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    # One that moves to another address under the same name, too.
    "grpc.dns_min_time_between_resolutions_ms": 2000,
    # In spite of its name this is how long one attempt may take: several round trips of a slow link, and a lost packet.
    "grpc.min_reconnect_backoff_ms": 5000,
    # While a text is written, a silent link is asked for a sign of life, which HTTP/2 gives by itself: so a target that
    # takes long is told from one that is away. What is not acknowledged in time ends the link, too.
    "grpc.keepalive_time_ms": 4000,
    "grpc.keepalive_timeout_ms": 3000,
    "grpc.http2.ping_timeout_ms": 3000,
    "grpc.http2.max_pings_without_data": 0,
    # One connection a transport, so that closing it closes everything.
    "grpc.use_local_subchannel_pool": 1,
}

# The library's own words where there is no host of a name, and where there is no connection, so that nothing was sent.
_NO_HOST = re.compile("hostname lookup|(name|dns) resolution", re.IGNORECASE)
_NOWHERE = re.compile(f"failed to connect|{_NO_HOST.pattern}", re.IGNORECASE)


def error_of(error: grpc.RpcError) -> TargetError:
    """The exception of our tree that a gRPC error stands for."""
    call = error if isinstance(error, grpc.Call) else None
    ours = _meaning(call)
    if _trailing(call, metadata.REASON):  # else it is not the target that speaks
        ours.request_id = metadata.clean_id(_trailing(call, metadata.REQUEST_ID))
    return ours


def _meaning(call: grpc.Call | None) -> TargetError:
    status = call.code() if call else _Status.UNKNOWN
    details = " ".join((call.details() or "").split()) if call else ""
    kind = ERRORS.get(status, LinkBroken)
    if status is _Status.UNIMPLEMENTED:
        return TargetRefused("what answers there is not a Tandem target, or one of another version; check the address")
    if kind is TargetRefused and _trailing(call, metadata.REASON) == OtherTarget.reason:
        return OtherTarget(details)
    # The library's own limit on messages has the same status as a target without room; waiting would not help.
    if issubclass(kind, TargetRefused) or (kind is TargetBusy and "larger than max" in details):
        what = "access" if kind is AccessDenied else "the request"
        options = ("token_file",) if kind is AccessDenied else ()
        kind = TargetRefused if kind is TargetBusy else kind
        return kind(f"the target refused {what}: {details or status.name}", options=options)
    name = status.name.lower().replace("_", " ")
    sentence = f"{name}: {_plainly(details)[:200]}" if details else name
    if kind is LinkBroken:
        return LinkBroken(sentence, reached=not _NOWHERE.search(details))
    return TargetBusy(sentence, _pushback(call)) if kind is TargetBusy else kind(sentence)


def _plainly(details: str) -> str:
    """The library's own words, which come in several wrappings, in fewer where it is known what they mean."""
    if "parsing http/2" in details.lower():
        return "what answers there does not speak HTTP/2, so it is no Tandem target"
    if _NO_HOST.search(details):
        return "no host of that name is known"
    return details.rpartition(": ")[2].lower() if _NOWHERE.search(details) else details


def _pushback(call: grpc.Call | None) -> float | None:
    """How long the target asks to be left alone, seconds; None if it does not say."""
    value = _trailing(call, metadata.PUSHBACK)
    return int(value) / 1e3 if re.fullmatch(r"\d{1,9}", value) else None


def _trailing(call: grpc.Call | None, wanted: str) -> str:
    found = call.trailing_metadata() if call else None
    return next((str(value) for key, value in found or () if key == wanted), "")


def _closed() -> TargetUnavailable:
    """What to raise where the library says ValueError; opening another stream would not help."""
    return TargetUnavailable("the connection to the target was closed; connect again")


class GrpcTransport:
    """Reaches the target at `address`, "host:port".

    Raises:
        InputError: a wrong address, a file of `credentials` that cannot be used, or a token that would travel in the
            clear.
    """

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:
        self._host, self._port = parse_address(address)
        self._credentials = credentials or Credentials()
        self._credentials.check(self._host)
        # A proxy of the environment cannot reach the target on this machine.
        options = _OPTIONS | ({"grpc.enable_http_proxy": 0} if is_loopback(self._host) else {})
        self._channel = _channel(address, self._credentials, list(options.items()))
        self._stub = TargetServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated code has no types
        token = self._credentials.token
        self._metadata = ((metadata.AUTHORIZATION, f"Bearer {token}"),) if token else ()
        self._is_closed = False
        self._releases: list[grpc.Future[wire.ReleaseResponse]] = []
        self._releases_lock = RLock()  # texts of several threads end here, dropped ones even in the middle of this

    def describe(self, timeout: float, padding: bytes = b"") -> wire.DescribeResponse:
        """See `Transport.describe`; with bytes that the target passes over, to see how long they take."""
        try:
            description: wire.DescribeResponse = self._stub.Describe(
                wire.DescribeRequest(padding=padding), timeout=timeout, metadata=self._metadata
            )
            return description
        except grpc.RpcError as error:
            # Where a target says itself why it is not available, there is nothing to find out.
            call = error if isinstance(error, grpc.Call) else None
            is_link = call is not None and call.code() is _Status.UNAVAILABLE and not _trailing(call, metadata.REASON)
            if is_link and (why := why_not(self._host, self._port, self._credentials)):
                raise why from None
            raise error_of(error) from None
        except ValueError:
            raise _closed() from None

    def open(self) -> GrpcLink:
        if self._is_closed:
            raise _closed()
        return GrpcLink(self._stub, self._metadata)

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        request = wire.FetchBundleRequest(digest=digest, file=file, offset=offset)
        try:
            call = self._stub.FetchBundle(request, timeout=timeout, metadata=self._metadata)
        except ValueError:
            raise _closed() from None
        try:
            for chunk in call:
                yield chunk.data
        except grpc.RpcError as error:
            raise error_of(error) from None
        finally:
            call.cancel()

    def release(self, session_id: bytes) -> None:
        with suppress(grpc.RpcError, ValueError):  # ValueError: the channel is closed
            request = wire.ReleaseRequest(session_id=session_id)
            about = metadata.about_session(session_id, self._metadata)
            release = self._stub.Release.future(request, timeout=RELEASE_WAIT, metadata=about)
            with self._releases_lock:
                self._releases = [*(earlier for earlier in self._releases if not earlier.done()), release]

    def close(self) -> None:
        self._is_closed = True
        end = monotonic() + RELEASE_WAIT
        for release in self._releases:
            with suppress(grpc.RpcError, grpc.FutureTimeoutError, grpc.FutureCancelledError):
                release.result(timeout=max(0.0, end - monotonic()))
        self._releases.clear()
        self._channel.close()


def _channel(address: str, credentials: Credentials, options: list[tuple[str, int]]) -> grpc.Channel:
    if not credentials.tls:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(*credentials.files()), options=options)


class GrpcLink:
    """One stream of `Decode`. A thread reads ahead, so that several requests can be under way.

    The call begins with the first request, which names the session that the whole stream is about: so nobody can open
    a stream that a proxy would send elsewhere than its session's others.
    """

    def __init__(self, stub: TargetServiceStub, others: tuple[tuple[str, str], ...] = ()) -> None:
        self._stub = stub
        self._metadata = others
        self._requests: SimpleQueue[wire.DecodeRequest | None] = SimpleQueue()
        self._answers: SimpleQueue[wire.DecodeResponse | TargetError] = SimpleQueue()
        self._call: Any = None  # generated code has no types
        self._closed = False

    def send(self, request: wire.DecodeRequest) -> None:
        """See `Link.send`.

        Raises:
            TargetUnavailable: with the first request, if the transport is closed.
        """
        if self._closed:
            raise LinkBroken("the stream was closed")
        self._requests.put(request)
        if self._call is None:
            about = metadata.about_session(request.session.session_id, self._metadata)
            try:
                self._call = self._stub.Decode(iter(self._requests.get, None), metadata=about)
            except ValueError:
                raise _closed() from None
            Thread(target=self._read, args=(self._call,), name="tandem-link", daemon=True).start()
            if self._closed:  # meanwhile, by another thread, which found no call
                self._call.cancel()

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        try:
            answer = self._answers.get(timeout=max(timeout, 0.0))
        except Empty:
            return None
        if isinstance(answer, TargetError):
            self._answers.put(answer)  # whoever asks again learns the same
            raise answer
        return answer

    def close(self) -> None:
        self._closed = True
        self._requests.put(None)
        if self._call is not None:
            self._call.cancel()
        else:  # who waits is woken
            self._answers.put(LinkBroken("the stream was closed"))

    def _read(self, call: Iterator[wire.DecodeResponse]) -> None:
        try:
            for answer in call:
                self._answers.put(answer)
            self._answers.put(LinkBroken("the target ended the stream"))
        except grpc.RpcError as error:
            self._answers.put(error_of(error))
