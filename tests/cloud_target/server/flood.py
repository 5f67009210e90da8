"""Strangers by the dozen, who send what one of them has made beforehand, and read nothing unless they are told to."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

PATIENCE = 20.0


class Flood:
    """So many connections, each of which says the same, and then stays; a context manager, at whose end they leave."""

    def __init__(self, address: str, connections: int, said: bytes, reads: bool = True) -> None:
        host, _, port = address.rpartition(":")
        self._sockets = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(connections)]
        threads = [threading.Thread(target=self._say, args=(one, said, reads)) for one in self._sockets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _say(self, one: socket.socket, said: bytes, reads: bool) -> None:
        with suppress(OSError):
            one.sendall(said)
            if reads:
                one.settimeout(0.2)
                while one.recv(1 << 16):
                    pass

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()
