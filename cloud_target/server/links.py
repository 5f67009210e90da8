"""The connections to a port of this process as its system knows them: the gRPC library names them by their peers alone,
and tells neither what came over each, nor when one is gone."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote

_OPEN = "/dev/fd"
# Says to the system: of no family, and so connected to nobody.
_NOBODY = bytes(16)
# What an address of version 4 begins with where it is written as one of version 6.
_MAPPED = bytes(10) + b"\xff\xff"
# Bytes of the longest address, and where in one the host stands, by family; the port stands before it in both.
_LONGEST = 128
_HOSTS = {int(socket.AF_INET): slice(4, 8), int(socket.AF_INET6): slice(8, 24)}
# Linux' number of a socket, which no other one ever has, and what it knows of one of TCP (socket(7), tcp(7)): the
# bytes that came stand in 8 of those, from the 128th on.
_COOKIE, _INFO = 57, 11
_SOCKET = int(socket.SOL_SOCKET)
_RECEIVED = slice(128, 136)
# A filter of what comes that lets nothing in, and what sets one and tells of it (socket(7)).
_FILTER, _NOTHING = 26, ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
# Python's own calls let other threads run at each descriptor, and then wait for them.
_C = ctypes.PyDLL(None)
# The host as the network writes it, and the port.
Address = tuple[bytes, int]


@dataclass(frozen=True)
class Link:
    """A connection.

    Attributes:
        number: no other one ever has it.
        peer: the other end.
        descriptor: of this process, as long as the connection lasts.
    """

    number: int
    peer: Address
    descriptor: int

    @property
    def name(self) -> str:
        """As gRPC names it."""
        host, port = self.peer
        return f"ipv4:{ip_address(host)}:{port}" if len(host) == 4 else f"ipv6:[{ip_address(host)}]:{port}"

    def received(self) -> int:
        """Bytes that came over it so far, with what was sent again."""
        said = _option(self.descriptor, socket.IPPROTO_TCP, _INFO, _RECEIVED.stop)
        return int.from_bytes(said[_RECEIVED], sys.byteorder)

    def silence(self) -> bool:
        """Hear nothing more of what comes over it: the system drops that, as if it were lost on the way.

        Returns:
            Whether it was still there, and the system can.
        """

        def deafen(link: socket.socket) -> bool:
            link.setsockopt(socket.SOL_SOCKET, _FILTER, struct.pack("HP", 1, ctypes.addressof(_NOTHING)))
            # A sandbox may take it, and do nothing with it; that knows of no filter afterwards.
            return _C.getsockopt(link.fileno(), _SOCKET, _FILTER, None, ctypes.byref(ctypes.c_uint32(0))) == 0

        return self._do(deafen)

    def reset(self) -> bool:
        """End it, with all that has come and was not read yet: a mere shutdown leaves that to be read first.

        Returns:
            Whether it was still there.
        """

        def end(link: socket.socket) -> bool:
            if _C.connect(link.fileno(), _NOBODY, len(_NOBODY)):
                link.shutdown(socket.SHUT_RDWR)
            return True

        return self._do(end)

    def _do(self, what: Callable[[socket.socket], bool]) -> bool:
        """Something with its descriptor, if that is still this connection's; False if not, and if the system won't."""
        # What its descriptor is by now is looked at again, through a duplicate, which stays what it is.
        with suppress(OSError), socket.fromfd(self.descriptor, socket.AF_INET6, socket.SOCK_STREAM) as link:
            if int.from_bytes(link.getsockopt(socket.SOL_SOCKET, _COOKIE, 8), sys.byteorder) == self.number:
                return what(link)
        return False


class Links:
    """The connections to one port. Use in one thread.

    Attributes:
        port: of this process; there are none before it is set.
    """

    def __init__(self) -> None:
        self.port: int | None = None
        self._peers: dict[int, Address | None] = {}  # of all sockets, by their numbers; None where it is another port's
        self._number, self._size = ctypes.c_uint64(), ctypes.c_uint32()  # made once, as they are needed very often

    def are_told(self) -> bool:
        """Whether the system tells of them."""
        with socket.socket() as one:
            said = _option(one.fileno(), socket.IPPROTO_TCP, _INFO, _RECEIVED.stop)
            return bool(os.path.isdir(_OPEN) and self._number_of(one.fileno()) and len(said) == _RECEIVED.stop)

    def now(self) -> list[Link]:
        """Those that there are.

        Raises:
            OSError: the system does not tell at the moment, as where no descriptor is left.
        """
        found = list(self._all()) if self.port is not None else []
        self._peers = {number: peer for number, peer, _ in found}
        return [Link(number, peer, descriptor) for number, peer, descriptor in found if peer]

    def _number_of(self, descriptor: int) -> int:
        """Of a socket; 0 of anything else."""
        number, size = self._number, self._size
        size.value = 8
        said = _C.getsockopt(descriptor, _SOCKET, _COOKIE, ctypes.byref(number), ctypes.byref(size))
        return 0 if said else number.value

    def _all(self) -> Iterator[tuple[int, Address | None, int]]:
        for descriptor in map(int, os.listdir(_OPEN)):
            if number := self._number_of(descriptor):
                try:
                    peer = self._peers[number]
                except KeyError:
                    ours = _end(_C.getsockname, descriptor)
                    peer = _end(_C.getpeername, descriptor) if ours and ours[1] == self.port else None
                yield number, peer, descriptor


def place_of(peer: str) -> Address | None:
    """Where that is; None where it is no address.

    Args:
        peer: as gRPC names it, such as "ipv4:127.0.0.1:40312" or "ipv6:%5B::1%5D:40312".
    """
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    try:
        return _plain(ip_address(host.strip("[]").partition("%")[0]).packed), int(port)
    except ValueError:
        return None


def _option(descriptor: int, level: int, option: int, size: int) -> bytes:
    """What the system says, at most so many bytes; nothing where that is nothing."""
    said, length = ctypes.create_string_buffer(size), ctypes.c_uint32(size)
    return b"" if _C.getsockopt(descriptor, level, option, said, ctypes.byref(length)) else said.raw[: length.value]


def _end(of: ctypes._NamedFuncPointer, descriptor: int) -> Address | None:
    """One end of a connection; None of what is none."""
    said, length = ctypes.create_string_buffer(_LONGEST), ctypes.c_uint32(_LONGEST)
    if of(descriptor, said, ctypes.byref(length)):
        return None
    family = int.from_bytes(said.raw[:2], sys.byteorder)
    return (_plain(said.raw[_HOSTS[family]]), int.from_bytes(said.raw[2:4], "big")) if family in _HOSTS else None


def _plain(host: bytes) -> bytes:
    """The same for both ways to write an address of version 4."""
    return host.removeprefix(_MAPPED)
