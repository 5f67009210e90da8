"""Serving until a signal comes: the socket, uvicorn, and an end without losses."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from edge_client.edge import Edge
from edge_client.server.app import Server
from edge_client.server.settings import ServerSettings
from shared.errors import InputError

# Seconds that texts under way have to end in once a signal has come; then they are given up, and their readers told.
GRACE = 5
# Seconds until what is left is cut off: readers that take nothing, a call to a target that does not answer.
LAST = GRACE + 5
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us: its own way raises them once more at its end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(edge: Edge, settings: ServerSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; texts under way may end within `GRACE`, and a second signal ends them at once.

    Args:
        ready: is told the address, like http://127.0.0.1:8080, once it is served.

    Raises:
        InputError: the address cannot be listened on, or the certificate cannot be used.
    """
    listening = _listen(settings)
    server = Server(edge, settings)
    try:
        asyncio.run(_serve(server, settings, listening, ready))
    finally:
        listening.close()
        server.close()


async def _serve(
    server: Server, settings: ServerSettings, listening: socket.socket, ready: Callable[[str], None]
) -> None:
    config = uvicorn.Config(
        server.app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        loop="asyncio",
        http="h11",
        ws="none",
        timeout_graceful_shutdown=LAST,
        ssl_certfile=settings.https_cert,
        ssl_keyfile=settings.https_key,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{settings.https_cert} and {settings.https_key} cannot be used as a certificate and its key ({error})",
            options=("https_cert", "https_key"),
        ) from None
    http = _Uvicorn(config)

    loop = asyncio.get_running_loop()

    def end() -> None:
        http.force_exit = http.should_exit
        http.should_exit = True
        loop.call_later(0 if http.force_exit else GRACE, server.give_up)

    for number in _SIGNALS:
        with suppress(NotImplementedError):  # on Windows Ctrl-C ends it as any program
            loop.add_signal_handler(number, end)
    host, port = listening.getsockname()[:2]
    ready(f"{settings.scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    await http.serve(sockets=[listening])


def _listen(settings: ServerSettings) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, proto)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(128)
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise InputError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror or error}); is another server "
            "running there? Choose another port",
            options=("port",),
        ) from None
    return found
