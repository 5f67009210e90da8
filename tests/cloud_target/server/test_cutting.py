"""Connections that are closed behind the library's back, by their names: those that are meant, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cloud_target.server.cutting import Cutter
from cloud_target.server.links import Links
from cloud_target.server.silencing import Silencer
from tests.cloud_target.server.links import Pairs, is_closed, name


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    with ExitStack() as opened:
        yield Pairs(opened, "127.0.0.1")


def cutting(pairs: Pairs, do: Callable[[Cutter], None]) -> None:
    """Do this, and wait until all is closed that is to be."""

    async def main() -> None:
        links = Links()
        links.port = pairs.port
        cutter = Cutter(links, Silencer(0.0))
        do(cutter)
        while cutter._is_due:
            await asyncio.sleep(0.001)

    asyncio.run(main())


def test_those_that_are_meant_are_closed_and_no_others(pairs):
    made = [pairs.connect() for _ in range(6)]
    cutting(pairs, lambda cutter: [cutter.cut(name(peer)) for peer, _ in made[::2]] and None)
    assert all(is_closed(ours) for _, ours in made[::2])
    for peer, ours in made[1::2]:
        peer.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_of_two_with_one_name_neither_is_closed(pairs):
    """They came from one place to two addresses of this machine."""
    one = pairs.connect("127.0.0.1")
    other = pairs.connect("127.0.0.2", port=one[0].getsockname()[1])
    assert name(one[0]) == name(other[0])
    cutting(pairs, lambda cutter: cutter.cut(name(one[0])))
    for peer, ours in (one, other):
        peer.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_who_is_to_be_spared_is(pairs):
    """As whoever has the name of one that is gone, and a token."""
    made = [pairs.connect() for _ in range(2)]

    def do(cutter: Cutter) -> None:
        cutter.cut(name(made[0][0]))  # at once, and those that follow in a moment
        cutter.cut(name(made[1][0]))
        cutter.spare(name(made[1][0]))

    cutting(pairs, do)
    assert is_closed(made[0][1])
    made[1][0].sendall(b"x")
    assert made[1][1].recv(1) == b"x"


@pytest.mark.parametrize("nobody", ["unix:/run/tandem", "", "ipv4:1.2.3.4:5"])
def test_who_is_nobody_is_not_closed(pairs, nobody):
    peer, ours = pairs.connect()
    cutting(pairs, lambda cutter: cutter.cut(nobody))
    peer.sendall(b"x")
    assert ours.recv(1) == b"x"
