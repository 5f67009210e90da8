"""The connections to a port: all of them and no others, what came over each, and one is closed and no other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cloud_target.server.links import Links, place_of
from tests.cloud_target.server.links import Pairs, is_closed, name, place


@pytest.fixture(params=["127.0.0.1", "::1"])
def pairs(request) -> Iterator[Pairs]:
    with ExitStack() as opened:
        try:
            yield Pairs(opened, request.param)
        except OSError:
            pytest.skip("this machine has no such address")


@pytest.fixture
def links(pairs) -> Links:
    found = Links()
    if not found.are_told():
        pytest.skip("this system does not tell")
    found.port = pairs.port
    return found


def test_all_that_there_are_and_no_others(pairs, links):
    made = [pairs.connect() for _ in range(5)]
    assert {link.peer for link in links.now()} == {place(peer) for peer, _ in made}
    numbers = {link.peer: link.number for link in links.now()}
    assert len(set(numbers.values())) == 5
    for end in made[0]:
        end.close()
    assert {link.peer: link.number for link in links.now()} == {
        where: number for where, number in numbers.items() if where in {place(peer) for peer, _ in made[1:]}
    }


def test_another_one_of_the_same_name_has_another_number(pairs, links):
    peer, ours = pairs.connect()
    port = peer.getsockname()[1]
    (before,) = links.now()
    assert before.reset()
    peer.close()
    ours.close()
    pairs.connect(port=port)
    (after,) = links.now()
    assert after.peer == before.peer
    assert after.number != before.number
    assert not before.reset()


def test_before_there_is_a_port_there_are_none(pairs, links):
    pairs.connect()
    assert Links().now() == []
    links.port = pairs.port + 1
    assert Links().now() == []


def test_how_much_came(pairs, links):
    peer, ours = pairs.connect()
    peer.sendall(b"x" * 10_000)
    assert len(ours.recv(10_000)) > 0
    while (link := links.now()[0]).received() < 10_000:
        pass
    assert link.received() in (10_000, 10_001)  # Linux counts the beginning of a connection, too


def test_the_one_that_is_meant_is_closed_and_no_other(pairs, links):
    made = [pairs.connect() for _ in range(5)]
    before = len(os.listdir("/dev/fd"))
    (link,) = [link for link in links.now() if link.peer == place(made[2][0])]
    assert link.reset()
    assert len(os.listdir("/dev/fd")) == before
    for number, (peer, ours) in enumerate(made):
        if number == 2:
            assert is_closed(peer)
            assert is_closed(ours)
        else:
            peer.sendall(b"x")
            assert ours.recv(1) == b"x"


def test_what_came_before_is_not_read_any_more(pairs, links):
    """Else a stranger's megabytes would be dealt with before the end is seen."""
    peer, ours = pairs.connect()
    peer.sendall(b"x" * 10_000)
    assert links.now()[0].reset()
    assert is_closed(ours)


def test_of_the_one_that_is_meant_nothing_more_is_heard(pairs, links):
    made = [pairs.connect() for _ in range(3)]
    (link,) = [link for link in links.now() if link.peer == place(made[1][0])]
    if not link.silence():
        pytest.skip("this system cannot")
    peer, ours = made[1]
    peer.sendall(b"x" * 10_000)
    ours.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ours.recv(1)
    ours.sendall(b"x")
    assert peer.recv(1) == b"x"
    assert link.reset()
    assert is_closed(peer)
    for peer, ours in made[::2]:
        peer.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_one_that_is_gone_cannot_be_silenced(pairs, links):
    peer, ours = pairs.connect()
    (before,) = links.now()
    peer.close()
    ours.close()
    pairs.connect()
    assert not before.silence()


def test_a_name_leads_back_to_where_it_is(pairs, links):
    peer, _ = pairs.connect()
    assert place_of(links.now()[0].name) == place_of(name(peer)) == place(peer)


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
