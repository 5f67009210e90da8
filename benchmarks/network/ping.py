"""The round trip that a link really has, by an echo over TCP."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

_MESSAGE = b"tandem: are you there?"


class Echo:
    """A server that sends back what it gets, until the end of a `with` block.

    Attributes:
        port: that it listens on.
    """

    def __init__(self, host: str) -> None:
        self._server = socket.create_server((host, 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, name="echo", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._answer, args=(connection,), name="echo", daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := connection.recv(4096):
                connection.sendall(data)


def round_trips(host: str, port: int, count: int) -> list[float]:
    """Seconds that each of `count` small messages needs there and back, one after the other."""
    found = []
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            begin = time.perf_counter()
            connection.sendall(_MESSAGE)
            missing = len(_MESSAGE)
            while missing:
                missing -= len(connection.recv(missing) or _lost())
            found.append(time.perf_counter() - begin)
    return found


def _lost() -> bytes:
    raise ConnectionResetError("the echo has gone")
