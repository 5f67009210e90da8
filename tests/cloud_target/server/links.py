"""Connections to a port of this process, of which a test has both ends."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from cloud_target.server.links import Address, place_of

PATIENCE = 20.0


class Pairs:
    """Connections to one port."""

    def __init__(self, opened: ExitStack, host: str) -> None:
        self._opened, self._host = opened, host
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        everywhere = "::" if ":" in host else ""
        self._listener = opened.enter_context(socket.create_server((everywhere, 0), family=self._family))
        self.port = self._listener.getsockname()[1]

    def connect(self, to: str | None = None, port: int = 0) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new one, the peer's and ours; to another address, or from this port."""
        peer = self._opened.enter_context(socket.socket(self._family))
        peer.settimeout(PATIENCE)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        peer.bind((self._host, port))
        peer.connect((to or self._host, self.port))
        ours = self._opened.enter_context(self._listener.accept()[0])
        ours.settimeout(PATIENCE)
        return peer, ours


def name(peer: socket.socket) -> str:
    """Of the connection, as gRPC names it."""
    host, port = peer.getsockname()[:2]
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"


def place(peer: socket.socket) -> Address:
    found = place_of(name(peer))
    assert found is not None
    return found


def is_closed(link: socket.socket) -> bool:
    try:
        return link.recv(1) == b""
    except ConnectionError:
        return True
