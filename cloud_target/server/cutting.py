"""Closes connections that the gRPC library holds, which knows no way to say so."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import unquote

_OPEN = "/dev/fd"
# What share of the time may go by looking for connections among all descriptors.
_SHARE = 0.25
# Says to the system: of no family, and so connected to nobody.
_NOBODY = bytes(16)
# What an address of version 4 begins with where it is written as one of version 6.
_MAPPED = bytes(10) + b"\xff\xff"
# Bytes of the longest address, and where in one the host stands, by family; the port stands before it in both.
_LONGEST = 128
_HOSTS = {int(socket.AF_INET): slice(4, 8), int(socket.AF_INET6): slice(8, 24)}
_C = ctypes.PyDLL(None)
# The host as the network writes it, and the port.
_Address = tuple[bytes, int]


class Cutter:
    """Closes connections to one port of this process; what the library holds of them ends as if their peers had gone.
    Use inside one event loop.

    Attributes:
        port: that they came to; none is closed before it is set.
    """

    def __init__(self) -> None:
        self.port: int | None = None
        self._wanted: set[_Address] = set()
        self._again = 0.0  # when the descriptors may be looked at again
        self._is_due = False

    def cut(self, peer: str) -> None:
        """Close this connection, at once or in a moment.

        Args:
            peer: as gRPC names it, such as "ipv4:127.0.0.1:40312" or "ipv6:%5B::1%5D:40312".
        """
        if address := place_of(peer):
            self._wanted.add(address)
        if not self._is_due:
            self._is_due = True
            loop = asyncio.get_running_loop()
            if self._again <= loop.time():
                self._cut()
            else:
                loop.call_at(self._again, self._cut)

    def _cut(self) -> None:
        begun, clock = time.perf_counter(), asyncio.get_running_loop().time
        wanted, self._wanted, self._is_due = self._wanted, set(), False
        if self.port is not None:
            cut(wanted, self.port)
        self._again = clock() + (time.perf_counter() - begun) * (1 / _SHARE - 1)


def cut(wanted: Collection[_Address], port: int) -> int:
    """Close the connections to one of this process's own ports.

    Args:
        wanted: where they come from, as host and port.
        port: that they came to.

    Returns:
        How many were found; 0 where the system does not tell what is open.
    """
    found = 0
    with suppress(OSError):
        for descriptor in map(int, os.listdir(_OPEN)):
            if _is_from(descriptor, wanted):
                # What it is by now is looked at again, through a duplicate, which stays what it is.
                with suppress(OSError), socket.fromfd(descriptor, socket.AF_INET6, socket.SOCK_STREAM) as link:
                    if _is_from(link.fileno(), wanted) and link.getsockname()[1] == port:
                        _reset(link)
                        found += 1
    return found


def _is_from(descriptor: int, wanted: Collection[_Address]) -> bool:
    """Whether its peer is one of these; what is no socket has none.

    Python's own call lets other threads run at each descriptor, and then waits for them.
    """
    said, length = ctypes.create_string_buffer(_LONGEST), ctypes.c_uint32(_LONGEST)
    if _C.getpeername(descriptor, said, ctypes.byref(length)):
        return False
    family = int.from_bytes(said.raw[:2], sys.byteorder)
    if family not in _HOSTS:
        return False
    return (_plain(said.raw[_HOSTS[family]]), int.from_bytes(said.raw[2:4], "big")) in wanted


def _reset(link: socket.socket) -> None:
    """End it, with all that has come and was not read yet: a mere shutdown leaves that to be read first."""
    if _C.connect(link.fileno(), _NOBODY, len(_NOBODY)):
        link.shutdown(socket.SHUT_RDWR)


def place_of(peer: str) -> _Address | None:
    """Where that is; None where it is no address."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    try:
        return _plain(ip_address(host.strip("[]").partition("%")[0]).packed), int(port)
    except ValueError:
        return None


def _plain(host: bytes) -> bytes:
    """The same for both ways to write an address of version 4."""
    return host.removeprefix(_MAPPED)
