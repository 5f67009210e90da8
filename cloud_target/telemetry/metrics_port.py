"""The port that metrics are offered on: plain HTTP, for a few connections at a time, each for a few seconds."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock, Thread
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

# Where they are; nothing else is there.
PATH = "/metrics"
# What share of the time may go by making pages, seconds of that which may be saved up, and kinds that are kept.
_SHARE, _SAVED, _KINDS = 0.1, 0.2, 8
# Seconds between two looks at which connections have had their time.
_LOOK = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PortLimits:
    """What strangers may have of it.

    Attributes:
        connections: at once; others are closed as they come. Each has a thread.
        seconds: after which one is closed, whatever it has asked or read by then.
    """

    connections: int = 16
    seconds: float = 10.0


class _Handler(BaseHTTPRequestHandler):
    """Answers `GET /metrics`; everything else it refuses."""

    server: _Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is nothing here but {PATH}")
        elif not _is_understood(self.headers.get("Accept", "")):
            self._refuse(HTTPStatus.NOT_ACCEPTABLE, "the Accept header makes no sense")
        else:
            self._tell()

    def _tell(self) -> None:
        page, kind = self.server.page(self.headers.get("Accept", ""))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("do_"):  # where the library looks for a method
            raise AttributeError(name)
        return lambda: self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, f"metrics are there to be read: GET {PATH}")

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody is told who scrapes."""

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        said = f"{sentence}\n".encode()
        self.send_response(status)
        self.send_header("Allow", "GET")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)


def _is_understood(accept: str) -> bool:
    try:
        choose_encoder(accept)
    except (TypeError, ValueError):  # by the library, of a version that is no number
        return False
    return True


class _Pages:
    """What is told. To make a page takes milliseconds of Python's own lock, which texts need: so whoever asks now and
    then has a new one, and a crowd that would take more than a share of the time has the last one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._making = Lock()
        self._made: dict[str, bytes] = {}  # the latest, by kind, of which there are few
        self._left, self._at = _SAVED, monotonic()  # seconds of making, and when that was

    def page(self, accept: str) -> tuple[bytes, str]:
        """The page and its kind, as whoever accepts this can read it."""
        encode, kind = choose_encoder(accept)
        with self._making:
            begun = monotonic()
            self._left, self._at = min(self._left + (begun - self._at) * _SHARE, _SAVED), begun
            if self._left <= 0 and kind not in self._made:  # there is no end of kinds, as versions may be any
                encode, kind = choose_encoder("")
            if self._left > 0 or kind not in self._made:
                if len(self._made) >= _KINDS:
                    self._made.clear()
                self._made[kind] = encode(self._registry)
                self._left -= monotonic() - begun
            return self._made[kind], kind


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry, limits: PortLimits) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._limits = limits
        self._until: dict[Any, float] = {}  # by connection; changed by its thread, one step at a time
        self.page = _Pages(registry).page
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer would look this machine's name up, too
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._until) >= self._limits.connections:
            self.shutdown_request(request)
            return
        self._until[request] = monotonic() + self._limits.seconds
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        now = monotonic()
        for request, until in list(self._until.items()):
            if now > until:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)  # its thread reads and writes no more, and closes it

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):  # those are peers that are gone
            log.error("metrics could not be told (%s); see what scrapes this port", type(error).__name__)


@contextmanager
def offered_at(host: str, port: int, registry: CollectorRegistry, limits: PortLimits | None = None) -> Iterator[str]:
    """Answer `GET /metrics` in threads of its own for as long as the block lasts; yields "host:port".

    Args:
        host: without brackets.
        port: 0 picks a free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    server = _Server(host, port, registry, limits or PortLimits())
    thread = Thread(target=server.serve_forever, args=(_LOOK,), name="metrics", daemon=True)
    thread.start()
    try:
        yield f"[{host}]:{server.server_port}" if ":" in host else f"{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
