"""Closes connections that the gRPC library holds, which knows no way to say so."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Collection
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import unquote

_OPEN = "/dev/fd"
# Seconds in which connections gather that are closed together, for which all descriptors are looked at.
_GATHER = 0.01
_Address = tuple[str, int]


class Cutter:
    """Closes connections to one port. Use inside one event loop.

    Attributes:
        port: that they came to; none is closed before it is set.
    """

    def __init__(self) -> None:
        self.port: int | None = None
        self._gathered: set[str] = set()

    def cut(self, peer: str) -> None:
        """Close this connection in a moment."""
        if not self._gathered:
            asyncio.get_running_loop().call_later(_GATHER, self._cut)
        self._gathered.add(peer)

    def _cut(self) -> None:
        gathered, self._gathered = self._gathered, set()
        if self.port is not None:
            cut(gathered, self.port)


def cut(peers: Collection[str], port: int) -> int:
    """Close the connections to one of this process's own ports; what the library holds of them ends as if their peers
    had closed them.

    Each descriptor is looked at through a duplicate, which stays what it is whatever the library does meanwhile.

    Args:
        peers: as gRPC names them, such as "ipv4:127.0.0.1:40312" or "ipv6:%5B::1%5D:40312".
        port: that they came to.

    Returns:
        How many were found; 0 where the system does not tell what is open.
    """
    wanted, found = {address for peer in peers if (address := _of(peer))}, 0
    with suppress(OSError):
        for name in os.listdir(_OPEN):
            with suppress(OSError), _duplicate(int(name)) as link:
                if link.getsockname()[1] == port and _address(*link.getpeername()[:2]) in wanted:
                    link.shutdown(socket.SHUT_RDWR)
                    found += 1
    return found


def _duplicate(descriptor: int) -> socket.socket:
    """Of a socket that speaks IP.

    Raises:
        OSError: it is none, or is closed by now.
    """
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        raise OSError("no socket")
    link = socket.socket(fileno=os.dup(descriptor))
    if link.family not in (socket.AF_INET, socket.AF_INET6):
        link.close()
        raise OSError("another kind of socket")
    return link


def _of(peer: str) -> _Address | None:
    """Where that is; None where it is no address."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    try:
        return _address(host.strip("[]"), int(port))
    except ValueError:
        return None


def _address(host: str, port: int) -> _Address:
    """The same for all ways to write it."""
    address = ip_address(host.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address), port
