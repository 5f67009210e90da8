"""Strangers' connections give way where few places are left."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.siege.said import CHECK, DESCRIBE, greeting
from cloud_target.access.tokens import add_line, new_token
from cloud_target.server.giving_way import GivingWay
from tests.cloud_target.server.process import BesiegedProcess
from tests.cloud_target.server.raw_peer import RawPeer
from tests.cloud_target.server.test_door import told

PLACES = 40
PATIENCE = 20.0


class Crowd:
    """Connections that are there until they are reset."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.reset: list[str] = []

    def links(self) -> list[Any]:
        return [SimpleNamespace(number=n, name=str(n), reset=lambda n=n: self._end(n)) for n in self.numbers]

    def _end(self, number: int) -> bool:
        self.numbers.remove(number)
        return True


def test_those_that_are_there_for_longest_go_and_devices_stay():
    crowd = Crowd()
    giving = GivingWay(8, crowd.reset.append)
    for number in (9, 1, 8, 2, 7, 3):  # one after the other, so that their numbers do not matter
        crowd.numbers.append(number)
        giving.see(crowd.links(), {9})
    assert crowd.reset == []  # five strangers on three quarters of seven places
    crowd.numbers += [4]
    giving.see(crowd.links(), {9})
    assert crowd.reset == ["1"]
    crowd.numbers += [5, 6]
    giving.see(crowd.links(), {9, 8})
    assert crowd.reset == ["1", "2", "7"]


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=10))
def test_there_is_room_for_whoever_comes_and_no_device_goes(places, looks):
    """Of devices and strangers that come before each look, as many as there are places for."""
    crowd, devices, number = Crowd(), set[int](), 0
    giving = GivingWay(places, crowd.reset.append)
    for known, unknown in looks:
        for kind in [True] * known + [False] * unknown:
            if len(crowd.numbers) < places:
                number += 1
                crowd.numbers.append(number)
                if kind:
                    devices.add(number)
        giving.see(crowd.links(), devices)
        strangers = len(crowd.numbers) - len(devices)
        assert devices <= set(crowd.numbers)
        assert strangers <= max(1, 0.75 * (places - len(devices)))


def lets_in(address: str, path: str, *metadata: tuple[str, str]) -> bool:
    """Whether somebody who tries again and again gets an answer over a new connection."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with RawPeer(address) as peer:
                if not peer.gone and told(peer, path, *metadata) == "0":
                    return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


@pytest.fixture
def crowded(tmp_path) -> Iterator[tuple[BesiegedProcess, tuple[str, str]]]:
    token, line = new_token("acme")
    add_line(tmp_path / "tokens", line)
    settings = {"tokens": str(tmp_path / "tokens"), "connections": {"most": PLACES}}
    with BesiegedProcess(**settings) as target:
        yield target, ("authorization", f"Bearer {token}")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of connections")
def test_who_fills_all_places_and_stays_keeps_nobody_out(crowded):
    target, token = crowded
    with RawPeer(target.address) as device, ExitStack() as strangers:
        assert told(device, DESCRIBE, token) == "0"
        host, _, port = target.address.rpartition(":")
        for _ in range(2 * PLACES):
            one = strangers.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            one.sendall(greeting())
        assert lets_in(target.address, DESCRIBE, token)
        assert lets_in(target.address, CHECK)
        assert told(device, DESCRIBE, token) == "0"
