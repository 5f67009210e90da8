"""Connections that are closed behind the library's back: those that are meant, and no others."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cloud_target.server.cutting import cut, place_of

PATIENCE = 20.0


class Links:
    """Connections to a port of this process."""

    def __init__(self, opened: ExitStack, host: str) -> None:
        self._opened = opened
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = opened.enter_context(socket.create_server((host, 0), family=family))
        self.port = self._listener.getsockname()[1]

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new one: the peer's and ours."""
        peer = self._opened.enter_context(socket.create_connection(self._listener.getsockname()[:2], PATIENCE))
        ours = self._opened.enter_context(self._listener.accept()[0])
        ours.settimeout(PATIENCE)
        return peer, ours


@pytest.fixture(params=["127.0.0.1", "::1"])
def links(request) -> Iterator[Links]:
    with ExitStack() as opened:
        try:
            yield Links(opened, request.param)
        except OSError:
            pytest.skip("this machine has no such address")


def place(peer: socket.socket) -> tuple[bytes, int]:
    host, port = peer.getsockname()[:2]
    found = place_of(f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}")
    assert found is not None
    return found


def is_closed(link: socket.socket) -> bool:
    try:
        return link.recv(1) == b""
    except ConnectionError:
        return True


def test_the_one_that_is_meant_is_closed_and_no_other(links):
    pairs = [links.connect() for _ in range(5)]
    before = len(os.listdir("/dev/fd"))
    assert cut({place(pairs[2][0])}, links.port) == 1
    assert len(os.listdir("/dev/fd")) == before
    for number, (peer, ours) in enumerate(pairs):
        if number == 2:
            assert is_closed(peer)
            assert is_closed(ours)
        else:
            peer.sendall(b"x")
            assert ours.recv(1) == b"x"


def test_what_came_before_is_not_read_any_more(links):
    """Else a stranger's megabytes would be dealt with before the end is seen."""
    peer, ours = links.connect()
    peer.sendall(b"x" * 10_000)
    assert cut({place(peer)}, links.port) == 1
    assert is_closed(ours)


def test_connections_to_other_ports_are_left_alone(links):
    peer, ours = links.connect()
    assert cut({place(peer)}, links.port + 1) == 0
    peer.sendall(b"x")
    assert ours.recv(1) == b"x"


def test_who_is_gone_is_nobody(links):
    peer, ours = links.connect()
    where = place(peer)
    peer.close()
    ours.close()
    assert cut({where}, links.port) == 0


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:40312", (b"\x7f\0\0\x01", 40312)),
        ("ipv6:%5B::1%5D:40312", (bytes(15) + b"\x01", 40312)),
        ("ipv6:[::1]:40312", (bytes(15) + b"\x01", 40312)),
        ("ipv6:%5Bfe80::1%25eth0%5D:7", (b"\xfe\x80" + bytes(13) + b"\x01", 7)),
        ("ipv6:%5B::ffff:1.2.3.4%5D:7", (b"\x01\x02\x03\x04", 7)),
        ("unix:/run/tandem", None),
        ("", None),
        ("ipv4:127.0.0.1", None),
    ],
)
def test_where_a_peer_is(peer, expected):
    assert place_of(peer) == expected
