"""Who is let in when, over a port: tokens go first, and floods of strangers are closed without harm to anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.siege.said import CHECK, DECODE, framed
from cloud_target.access.protection import Access
from cloud_target.access.tokens import TokenFile, add_line, new_token
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server import server as serving
from cloud_target.server.server import FLOOD, SERVICE, running
from cloud_target.server.strangers import StrangerLimits, Strangers
from cloud_target.telemetry.calls import present_call
from cloud_target.telemetry.observer import Observer
from tests.cloud_target.server.raw_peer import RawPeer

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
def address(token, limits, ear, monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(serving, "Strangers", partial(Strangers, limits=limits))
    access = Access(tokens=TokenFile(token[1]))
    with running(ScriptedEngine(random_script(8), 8), access=access, observer=ear) as address:
        yield address


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
        assert told(first, CHECK) == "0"  # the only turn
        waiting = stranger.call(CHECK)
        stranger.send(waiting, framed(b""), end=True)
        assert told(honest, DESCRIBE, token[0]) == "0"
        assert told(stranger, DESCRIBE, token[0]) == "0"  # of the same connection, too
        assert waiting not in stranger.statuses


def test_where_nobody_is_asked_for_a_token_texts_go_first(ear, monkeypatch):
    monkeypatch.setattr(serving, "Strangers", partial(Strangers, limits=StrangerLimits(pace=3600.0, burst=1)))
    with (
        running(ScriptedEngine(random_script(8), 8), observer=ear) as address,
        RawPeer(address) as first,
        RawPeer(address) as second,
    ):
        assert told(first, CHECK) == "0"  # the only turn
        for _ in range(5):
            assert told(second, DESCRIBE) == "0"
