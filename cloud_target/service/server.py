"""The server: binding, health, reflection, and a clean end."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cloud_target.engine.interface import Engine
from cloud_target.service.servicer import TargetServicer
from shared.errors import InputError
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import add_TargetServiceServicer_to_server

SERVICE = wire.DESCRIPTOR.services_by_name["TargetService"].full_name
# Seconds that calls under way may still take when the server stops.
GRACE = 5.0
MAX_MESSAGE_BYTES = 4 << 20

_Status = health_pb2.HealthCheckResponse
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # else two servers share a port, and each gets some of the calls
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Edges ping through idle minutes so that middleboxes remember them, and the server learns of those that vanished.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


def check_address(host: str, port: int, insecure_bind: bool = False) -> None:
    """Refuse addresses that cannot or must not be listened on; worth asking before a large model is loaded.

    Args:
        host: without brackets.
        insecure_bind: allow a host beyond loopback. The link is not encrypted and asks nobody who they are.

    Raises:
        InputError: the host is not this machine's loopback, or the port is taken.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not (loopback or insecure_bind):
        raise InputError(
            f"refusing to listen on {host}: without encryption, whoever reaches that address can read and ask; "
            "use --host 127.0.0.1, or --insecure-bind inside a network that you trust"
        )
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        # Name lookups fail with negative numbers and say what happened themselves.
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else error.strerror
        raise InputError(
            f"cannot listen on {host}, port {port}: {why}; choose another --port (0 for any), or --host"
        ) from None


class TargetServer:
    """Serves an engine on one address. Use inside one event loop.

    Args:
        engine: what is served.
        host: address to listen on, without brackets.
        port: 0 picks a free one.
        insecure_bind: allow a host beyond loopback.

    Attributes:
        address: "host:port" once started.

    Raises:
        InputError: see `check_address`.
    """

    def __init__(self, engine: Engine, host: str = "127.0.0.1", port: int = 50051, insecure_bind: bool = False) -> None:
        check_address(host, port, insecure_bind)
        self._host = f"[{host}]" if ":" in host else host
        self._port = port
        self._servicer = TargetServicer(engine)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=_OPTIONS)
        self.address = ""

    async def start(self) -> None:
        """Listen, and report SERVING."""
        add_TargetServiceServicer_to_server(self._servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        port = self._server.add_insecure_port(f"{self._host}:{self._port}")
        await self._server.start()
        self.address = f"{self._host}:{port}"
        await self._report(_Status.SERVING)

    async def stop(self, grace: float = GRACE) -> None:
        """Report NOT_SERVING, let calls under way reach their verdicts, and end."""
        await self._report(_Status.NOT_SERVING)
        self._servicer.stop_streams()
        await self._server.stop(grace)
        self._servicer.close()

    async def _report(self, status: int) -> None:
        for name in ("", SERVICE):
            await self._health.set(name, status)


async def serve(server: TargetServer, ready: Callable[[str], None]) -> signal.Signals:
    """Serve until SIGTERM or SIGINT; returns which. `ready` gets the address when calls are answered."""
    loop, stop = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda n=number: stop.done() or stop.set_result(n))
    await server.start()
    try:
        ready(server.address)
        return await stop
    finally:
        await server.stop()


@contextmanager
def running(engine: Engine, port: int = 0) -> Iterator[str]:
    """Serve an engine on loopback in a thread of this process, for as long as the block lasts; yields "host:port"."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    started: list[str | BaseException] = []
    is_started = threading.Event()

    async def main() -> None:
        try:
            server = TargetServer(engine, port=port)
            await server.start()
            started.append(server.address)
        except BaseException as error:
            started.append(error)
            return
        finally:
            is_started.set()
        await stop.wait()
        await server.stop(grace=0.5)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="target-server", daemon=True)
    thread.start()
    is_started.wait()
    try:
        if isinstance(started[0], BaseException):
            raise started[0]
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
