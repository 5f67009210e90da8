"""A target without a server of its own behind a real gRPC port, for tests of what is between the two."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc

from edge_client.testing import LoopbackTransport, Service
from shared.errors import InputError, OtherTarget, ProtocolError
from shared.wire import metadata
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1 import target_pb2_grpc


class Servicer(target_pb2_grpc.TargetServiceServicer):
    """A `Service` behind gRPC.

    Attributes:
        transport: to the same service, without gRPC; keeps count of what is released.
        abort: ends every call with that status, unless None.
        request_id: by which it knows those calls, unless None.
        ends: `Decode` ends without an answer.
        answered: so many requests of a `Decode` are answered, the first ones.
        unanswered: set when one is not: whoever asked waits from then on.
        most_bytes: of its bundle are sent; then whoever fetches it waits.
        bytes: of its bundle were sent, in all.
    """

    def __init__(self, service: Service) -> None:
        self.transport = LoopbackTransport(service)
        self.abort: grpc.StatusCode | None = None
        self.request_id: str | None = None
        self.ends = False
        self.answered = math.inf
        self.unanswered = threading.Event()
        self.most_bytes: int | None = None
        self.bytes = 0

    def Describe(self, request, context):
        self._trouble(context)
        return self.transport.describe(1.0)

    def Decode(self, requests, context):
        self._trouble(context)
        stream = self.transport.service.stream()
        for number, request in enumerate(requests):
            if self.ends:
                return
            if number >= self.answered:
                self.unanswered.set()
                continue
            try:
                yield from stream.answers(request)
            except (ProtocolError, InputError) as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except OtherTarget as error:
                context.set_trailing_metadata(((metadata.REASON, error.reason),))
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def FetchBundle(self, request, context):
        for chunk in self.transport.service.fetch(request):
            if self.most_bytes is not None and self.bytes >= self.most_bytes:
                self.unanswered.set()
                while context.is_active():
                    time.sleep(0.02)
                return
            self.bytes += len(chunk)
            yield wire.FetchBundleResponse(data=chunk)

    def Release(self, request, context):
        self.transport.release(request.session_id)
        return wire.ReleaseResponse()

    def _trouble(self, context) -> None:
        if self.abort is not None:
            if self.request_id is not None:
                context.set_trailing_metadata((("tandem-reason", "TEST"), ("x-request-id", self.request_id)))
            context.abort(self.abort, "for a\n  test")


@contextmanager
def serving(servicer: Servicer, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> Iterator[int]:
    """A gRPC server on loopback for the length of a `with` block; gives its port."""
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    target_pb2_grpc.add_TargetServiceServicer_to_server(servicer, server)
    address = f"127.0.0.1:{port}"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
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
