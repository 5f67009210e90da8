"""Answers that nobody reads: few of a connection, not for long, and nobody else waits for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import grpc
import pytest

from benchmarks.siege.said import framed
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from cloud_target.server.timeouts import Timeouts
from cloud_target.telemetry.observer import Observer
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.server.raw_peer import RawPeer

PATIENCE = 20.0
# In all and of one connection, as `servicer.py` has it.
ALL, MOST = 256, 16
BUSY, UNAVAILABLE = (str(getattr(grpc.StatusCode, name).value[0]) for name in ("RESOURCE_EXHAUSTED", "UNAVAILABLE"))
DESCRIBE = framed(wire.DescribeRequest().SerializeToString())
RELEASE = framed(wire.ReleaseRequest(session_id=bytes(16)).SerializeToString())


class Ear(Observer):
    """Counts why calls were refused."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()

    def refused(self, tenant: str, reason: str) -> None:
        self.heard[reason] += 1


@pytest.fixture
def ear() -> Ear:
    return Ear()


@contextmanager
def serving(ear: Ear, unread: float) -> Iterator[str]:
    engine = ScriptedEngine(random_script(8), 8)
    with running(engine, observer=ear, timeouts=Timeouts(unread=unread)) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize(("method", "message"), [("Describe", DESCRIBE), ("Release", RELEASE)])
def test_one_connection_has_few_and_they_end(ear, method, message):
    def ask(peer: RawPeer) -> int:
        stream = peer.call(f"/tandem.v1.TargetService/{method}")
        peer.send(stream, message, end=True)
        return stream

    with serving(ear, 1.0) as address, RawPeer(address, window=0) as deaf, RawPeer(address) as reads:
        for _ in range(MOST + 4):
            ask(deaf)
        deaf.read_until(lambda: len(deaf.statuses) == 4)
        assert set(deaf.statuses.values()) == {BUSY}
        asked = [ask(reads) for _ in range(MOST)]  # another one has as many, whoever else does not read
        reads.read_until(lambda: len(reads.statuses) == MOST)
        assert [reads.statuses[stream] for stream in asked] == ["0"] * MOST
        deaf.read_until(lambda: ear.heard["UNAVAILABLE"] == MOST)
        assert ear.heard == {"BUSY": 4, "UNAVAILABLE": MOST}
        for stream in set(range(1, 2 * (MOST + 4), 2)) - set(deaf.statuses):
            deaf.allow(stream, 1 << 16)  # whoever reads after all hears how it has ended
        deaf.read_until(lambda: len(deaf.statuses) == MOST + 4)
        assert Counter(deaf.statuses.values()) == {BUSY: 4, UNAVAILABLE: MOST}
        again = ask(reads)
        reads.read_until(lambda: again in reads.statuses)
        assert reads.statuses[again] == "0"


@pytest.mark.slow
def test_newest_ones_get_in_where_there_are_too_many(ear):
    """Of many connections that do not read, more calls than there are places for all; those that came first go."""

    def until(refused: int) -> None:
        end = time.monotonic() + PATIENCE
        while ear.heard != {"BUSY": refused}:
            assert time.monotonic() < end, ear.heard
            time.sleep(0.02)

    with serving(ear, 6 * PATIENCE) as address, ExitStack() as opened:
        for _ in range(ALL // MOST + 1):
            peer = opened.enter_context(RawPeer(address, window=0))
            for _ in range(MOST):
                peer.send(peer.call("/tandem.v1.TargetService/Describe"), DESCRIBE, end=True)
        until(refused=MOST)
        with grpc.insecure_channel(address) as channel:
            answer = TargetServiceStub(channel).Describe(wire.DescribeRequest(), timeout=PATIENCE)
        assert answer.vocabulary == 8
        until(refused=MOST + 1)
