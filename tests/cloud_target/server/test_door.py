"""Who is let in when, over a port: tokens go first, and floods of strangers are closed without harm to anybody else."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.siege.said import CHECK, DECODE, WATCH, all_at_once, framed
from cloud_target.access.protection import Access
from cloud_target.access.tokens import TokenFile, add_line, new_token
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server import accepting
from cloud_target.server import server as serving
from cloud_target.server.connections import ConnectionSettings
from cloud_target.server.links import Links
from cloud_target.server.server import FLOOD, SERVICE, running
from cloud_target.server.strangers import StrangerLimits, Strangers
from cloud_target.telemetry.calls import present_call
from cloud_target.telemetry.observer import Observer
from shared.addresses import parse_address
from tests.cloud_target.server.raw_peer import RawPeer, own_port

PATIENCE = 20.0
DESCRIBE, UNKNOWN = f"/{SERVICE}/Describe", "/nobody.knows/This"
IN_VAIN = 20
UNAUTHENTICATED, UNIMPLEMENTED = "16", "12"


class Ear(Observer):
    """Remembers what was refused, and to whom."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def refused(self, tenant: str, reason: str) -> None:
        call = present_call()
        self.heard.append((call.peer if call else "", reason))


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture(scope="module")
def token(tmp_path_factory) -> tuple[tuple[str, str], Path]:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    token, line = new_token("acme")
    add_line(path, line)
    return ("authorization", f"Bearer {token}"), path


@pytest.fixture
def limits() -> StrangerLimits:
    return StrangerLimits(in_vain=IN_VAIN)


@pytest.fixture
def connections() -> ConnectionSettings:
    return ConnectionSettings(silence=0.0)


@pytest.fixture
def address(token, limits, ear, connections, monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(serving, "Strangers", partial(Strangers, limits=limits))
    access = Access(tokens=TokenFile(token[1]))
    with running(ScriptedEngine(random_script(8), 8), access=access, observer=ear, connections=connections) as address:
        yield address


@pytest.fixture
def everywhere(token, limits, ear, monkeypatch) -> Iterator[tuple[str, str]]:
    """One server at two addresses."""
    if sys.platform != "linux":
        pytest.skip("only Linux has a second address by itself, and tells of connections")
    monkeypatch.setattr(serving, "Strangers", partial(Strangers, limits=limits))
    monkeypatch.setattr(serving, "TargetServer", partial(serving.TargetServer, host="0.0.0.0"))
    access = Access(tokens=TokenFile(token[1]), insecure_bind=True)
    at_once = ConnectionSettings(silence=0.0)
    with running(ScriptedEngine(random_script(8), 8), access=access, observer=ear, connections=at_once) as address:
        port = address.rpartition(":")[2]
        yield f"127.0.0.1:{port}", f"127.0.0.2:{port}"


def told(peer: RawPeer, path: str, *metadata: tuple[str, str]) -> str | None:
    """The status of a call with one message; None where the connection went."""
    stream = peer.call(path, *metadata)
    peer.send(stream, framed(b""), end=True)
    peer.read_until(lambda: stream in peer.statuses)
    return peer.statuses.get(stream)


def tries(peer: RawPeer, path: str, most: int) -> int:
    """How often this can be called, one call after the other, before the connection goes."""
    for number in range(most):
        if told(peer, path) is None:
            return number
    return most


@pytest.mark.parametrize(("path", "status"), [(DECODE, UNAUTHENTICATED), (UNKNOWN, UNIMPLEMENTED)])
def test_who_only_calls_in_vain_is_told_why_and_then_closed(path, status, address, ear):
    with RawPeer(address) as peer:
        assert told(peer, path) == status
        assert tries(peer, path, 2 * IN_VAIN) == IN_VAIN - 1
        assert peer.gone
    floods = [who for who, reason in ear.heard if reason == FLOOD]
    assert len(floods) == 1
    assert floods[0].startswith("ipv4:127.0.0.1:")


@pytest.mark.parametrize("connections", [ConnectionSettings(silence=1.0)])
def test_who_is_closed_is_not_heard_before(address, token, ear):
    """So that whoever comes again at once has to wait, and nobody has work meanwhile."""
    if not Links().are_told():
        pytest.skip("this system does not tell of connections")
    with RawPeer(address) as honest, RawPeer(address) as peer:
        assert told(honest, DESCRIBE, token[0]) == "0"
        while not [reason for _, reason in ear.heard if reason == FLOOD]:
            assert told(peer, UNKNOWN)
        begun = time.monotonic()
        assert told(peer, UNKNOWN) is None
        assert peer.gone
        assert time.monotonic() - begun > 0.5
        assert told(honest, DESCRIBE, token[0]) == "0"


def test_many_calls_at_once_close_a_connection_too(address, ear):
    with RawPeer(address) as peer:
        for _ in range(IN_VAIN + 4):
            peer.call(DECODE)
        peer.read_until(lambda: peer.gone)
        assert peer.gone


def test_others_of_the_same_address_are_not_closed(address, token):
    with RawPeer(address) as honest, RawPeer(address) as stranger:
        assert told(honest, DESCRIBE, token[0]) == "0"
        assert tries(stranger, DECODE, 2 * IN_VAIN) < 2 * IN_VAIN
        assert told(honest, DESCRIBE, token[0]) == "0"


def test_a_connection_that_has_shown_a_token_is_never_closed(address, token):
    """Others may call over it, too: it may be a proxy's."""
    with RawPeer(address) as proxy:
        assert told(proxy, DESCRIBE, token[0]) == "0"
        assert tries(proxy, DECODE, 2 * IN_VAIN) == 2 * IN_VAIN
        assert told(proxy, DESCRIBE, token[0]) == "0"


def test_who_asks_health_is_never_closed(address):
    with grpc.insecure_channel(address) as channel:
        ask = health_pb2_grpc.HealthStub(channel)
        for _ in range(3 * IN_VAIN):
            answer = ask.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("limits", [StrangerLimits(pace=3600.0, burst=1)])
def test_a_token_goes_before_all_strangers(address, token):
    """They wait for turns that do not come."""
    with RawPeer(address) as first, RawPeer(address) as stranger, RawPeer(address) as honest:
        assert told(first, UNKNOWN) == UNIMPLEMENTED  # the only turn
        waiting = stranger.call(UNKNOWN)
        stranger.send(waiting, framed(b""), end=True)
        assert told(honest, DESCRIBE, token[0]) == "0"
        assert told(stranger, DESCRIBE, token[0]) == "0"  # of the same connection, too
        assert waiting not in stranger.statuses


def test_a_token_is_let_in_behind_thousands_of_calls_that_nobody_has_looked_at(address, token, monkeypatch):
    """They come while the event loop is at something else; the library would end more and more of them by itself."""
    is_busy, is_over, calls = threading.Event(), threading.Event(), 30

    def look(*_: object) -> bool:
        is_busy.set()
        is_over.wait(PATIENCE)
        return False

    said = all_at_once(DESCRIBE, calls, framed(b""), end=True)
    with ExitStack() as opened:
        opened.callback(is_over.set)
        honest = opened.enter_context(RawPeer(address))
        assert told(honest, DESCRIBE, token[0]) == "0"
        host, port = parse_address(address)
        monkeypatch.setattr(Strangers, "is_leaving", look)
        for _ in range(2000 // calls):
            opened.enter_context(socket.create_connection((host, port))).sendall(said)
        assert is_busy.wait(PATIENCE)
        time.sleep(0.5)  # until all have come
        asked = [honest.call(DESCRIBE, token[0]) for _ in range(10)]
        for stream in asked:
            honest.send(stream, framed(b""), end=True)
        honest.read(0.5)
        is_over.set()
        honest.read_until(lambda: set(asked) <= honest.statuses.keys())
        assert [honest.statuses[stream] for stream in asked] == ["0"] * len(asked)


def test_where_nobody_is_asked_for_a_token_texts_go_first(ear, monkeypatch):
    monkeypatch.setattr(serving, "Strangers", partial(Strangers, limits=StrangerLimits(pace=3600.0, burst=1)))
    with (
        running(ScriptedEngine(random_script(8), 8), observer=ear) as address,
        RawPeer(address) as first,
        RawPeer(address) as second,
    ):
        assert told(first, UNKNOWN) == UNIMPLEMENTED  # the only turn
        for _ in range(5):
            assert told(second, DESCRIBE) == "0"


def test_whose_connection_is_gone_is_nobody(monkeypatch):
    """The library has no name for it, and so one for all of them; a token makes none of them known."""
    context = Mock(peer=lambda: "", invocation_metadata=lambda: ())
    monkeypatch.setattr(accepting, "cygrpc", Mock(_ServicerContext=lambda *_: context))
    door = Mock(knows=lambda *_: True)

    async def main() -> None:
        accepting._Accepting._let_in(Mock(door=door), DECODE, object(), pytest.fail)

    asyncio.run(main())
    assert door.strangers.mock_calls == door.rations.mock_calls == []


@pytest.mark.parametrize("limits", [StrangerLimits(waiting=4, pace=3600.0, burst=1)])
def test_probes_are_answered_whoever_waits(address):
    """Each comes over a connection of its own, as probes do, beside more strangers than may wait for turns."""
    with ExitStack() as opened:
        for _ in range(8):
            stranger = opened.enter_context(RawPeer(address))
            for path in (UNKNOWN, WATCH):
                stranger.send(stranger.call(path), framed(b""), end=True)
        for _ in range(20):
            with RawPeer(address) as probe:
                assert told(probe, CHECK) == "0"


@pytest.mark.parametrize("limits", [StrangerLimits(pace=3600.0, burst=1)])
def test_of_one_connection_few_questions_are_answered_at_once(address):
    """The others take turns, and there is none."""
    with RawPeer(address) as first, RawPeer(address) as many, RawPeer(address) as other:
        assert told(first, UNKNOWN) == UNIMPLEMENTED  # the only turn
        asked = [many.call(CHECK) for _ in range(8)]
        for stream in asked:
            many.send(stream, framed(b""), end=True)
        assert told(other, CHECK) == "0"
        many.read_until(lambda: asked[1] in many.statuses)
        many.read(0.2)
        assert set(many.statuses) == set(asked[:2])


def test_who_has_the_name_of_a_stranger_is_not_closed_for_him(everywhere, token):
    """From one port to two addresses of a machine there are two connections, and the library has one name for both."""
    here, there = everywhere
    with RawPeer(here, port=own_port()) as honest, RawPeer(there, port=honest.port) as stranger:
        assert told(honest, CHECK) == "0"
        tries(stranger, DECODE, 2 * IN_VAIN)
        assert told(honest, CHECK) == "0"
        assert told(honest, DESCRIBE, token[0]) == "0"


def test_who_has_the_name_of_one_that_was_closed_is_heard_at_once(address, token):
    with RawPeer(address, port=own_port()) as stranger:
        assert tries(stranger, DECODE, 2 * IN_VAIN) < 2 * IN_VAIN
        stranger.vanish()
        with RawPeer(address, port=stranger.port) as honest:
            assert told(honest, DESCRIBE, token[0]) == "0"
            time.sleep(1.5)
            assert told(honest, DESCRIBE, token[0]) == "0"


def test_who_has_the_name_of_a_device_that_is_gone_is_a_stranger(everywhere, token):
    address = everywhere[0]
    with RawPeer(address, port=own_port()) as device:
        assert told(device, DESCRIBE, token[0]) == "0"
        time.sleep(0.5)  # as long as a look at all connections takes, and more
        assert tries(device, DECODE, 2 * IN_VAIN) == 2 * IN_VAIN  # it is known
        device.vanish()
    time.sleep(1.0)
    with RawPeer(address, port=device.port) as stranger:
        assert tries(stranger, DECODE, 2 * IN_VAIN) < 2 * IN_VAIN
