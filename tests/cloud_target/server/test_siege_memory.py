"""What 128 connections of strangers can take of a server that asks for tokens, measured from outside; and that it
serves on, and gives all of it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.siege.said import CHECK, DECODE, DESCRIBE, WATCH, all_at_once, framed
from cloud_target.access.tokens import add_line, new_token
from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from shared.config import Coupling, Sampling
from shared.errors import TargetUnavailable
from tests.cloud_target.server.flood import Flood
from tests.cloud_target.server.process import BesiegedProcess
from tests.cloud_target.server.raw_peer import RawPeer

CONNECTIONS, CALLS, MOST_MIB = 128, 128, 200
# What the process may have more when all is over: Python has come to know its ways by then.
REST_MIB = 64
# Most of a message, as far as a server takes it in before it reads: that it takes no more of any call is what
# `test_what_one_connection_of_a_stranger_may_say` is about. And one that is whole.
MOST = framed(health_pb2.HealthCheckRequest(service="x" * 300_000).SerializeToString())[: 1 << 14]
WHOLE = framed(health_pb2.HealthCheckRequest(service="x" * 10_000).SerializeToString())
METADATA = [(f"x-{number}", "v" * 480) for number in range(14)]

FLOODS = {
    "nothing": (b"", True),
    "checks that do not end": (all_at_once(CHECK, CALLS, MOST), True),
    "watches with names, and no window": (all_at_once(WATCH, CALLS, WHOLE, window=0, end=True), True),
    "texts that do not end, and much metadata": (all_at_once(DECODE, CALLS, MOST, METADATA), False),
}


class Memory(threading.Thread):
    """Looks at a server's memory all the time; `peak` is the most since it was last set, MiB."""

    def __init__(self, server: BesiegedProcess) -> None:
        super().__init__(daemon=True)
        self._server, self._over = server, threading.Event()
        self.peak = server.memory()

    def run(self) -> None:
        while not self._over.wait(0.01):
            self.peak = max(self.peak, self._server.memory())

    def stop(self) -> None:
        self._over.set()
        self.join()


@pytest.fixture(scope="module")
def token(tmp_path_factory) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    token, line = new_token("acme")
    add_line(path, line)
    return token, path


@pytest.fixture
def server(token) -> Iterator[BesiegedProcess]:
    with BesiegedProcess(tokens=str(token[1]), connections={"most": 4 * CONNECTIONS, "streams": CALLS}) as server:
        yield server


def write(address: str, token: str | None) -> list[int]:
    """A text of an honest edge, which tries again until it has it."""
    end = time.monotonic() + 20
    while True:
        try:
            return _write(address, token)
        except TargetUnavailable:
            assert time.monotonic() < end


def _write(address: str, token: str | None, tokens: int = 20) -> list[int]:
    with (
        TargetClient.connect(address, credentials=Credentials(token=token)) as client,
        client.session(Sampling(0.8, seed=5), Coupling.GUMBEL, (), 2) as session,
    ):
        return [own.token for own in session.write_on([1, 2], tokens)]


@pytest.mark.slow
def test_strangers_cost_little_and_leave_nothing(server, token):
    text = write(server.address, token[0])
    descriptors, base = server.descriptors(), server.memory()
    memory = Memory(server)
    memory.start()
    cost = {}
    for name, (said, reads) in FLOODS.items():
        with Flood(server.address, CONNECTIONS, said, reads):
            assert write(server.address, token[0]) == text
            cost[name] = memory.peak - base
    memory.stop()
    assert max(cost.values()) < MOST_MIB, cost  # also of all of them together
    server.until(lambda: server.memory() < base + REST_MIB)
    server.until(lambda: server.descriptors() <= descriptors + 2)
    assert write(server.address, token[0]) == text


@pytest.mark.slow
def test_answers_that_nobody_reads_cost_little_where_nobody_is_asked_for_a_token():
    said = all_at_once(DESCRIBE, CALLS, framed(b""), window=0, end=True)
    with BesiegedProcess(connections={"most": 4 * CONNECTIONS, "streams": CALLS}) as server:
        text, base = write(server.address, None), server.memory()
        memory = Memory(server)
        memory.start()
        with Flood(server.address, CONNECTIONS, said):
            assert write(server.address, None) == text
        server.until(lambda: server.memory() < base + REST_MIB)
        memory.stop()
    assert memory.peak - base < MOST_MIB


@pytest.mark.slow
def test_what_one_connection_of_a_stranger_may_say(server):
    """Two questions to health are read at once, each as large as any message can be; of all other calls a start."""
    too_large, large = framed(b"x" * (8 << 20)), framed(b"x" * 300_000)
    with RawPeer(server.address) as peer:
        assert peer.send(peer.call(CHECK), too_large) < 1 << 19
        taken = [peer.send(peer.call(path), large[:-1]) for path in (CHECK, WATCH, CHECK, DECODE, DESCRIBE) * 4]
    assert sum(taken) < 3 << 19


@pytest.mark.slow
def test_more_connections_than_there_may_be(token):
    with BesiegedProcess(tokens=str(token[1]), connections={"most": 8}) as server:
        before = server.descriptors()
        with Flood(server.address, 64, b""):
            assert server.descriptors() <= before + 8
        server.until(lambda: server.descriptors() <= before)
        assert len(write(server.address, token[0])) == 20


@pytest.mark.slow
def test_a_connection_that_asks_nothing_is_closed(token):
    with (
        BesiegedProcess(tokens=str(token[1]), connections={"idle": 0.5}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        with RawPeer(server.address) as peer:
            peer.read_until(lambda: peer.gone)
        without = server.descriptors()
        for _ in range(2):  # and whoever comes back is welcome
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            server.until(lambda: server.descriptors() <= without)


@pytest.mark.slow
def test_a_text_outlives_its_connections(token):
    """Connections end again and again under a text, also while its call goes on, and it is written all the same."""
    texts = []
    for connections in ({}, {"age": 0.3, "grace": 0.2}):
        with BesiegedProcess(tokens=str(token[1]), pause=0.01, connections=connections) as server:
            texts.append(_write(server.address, token[0], 80))
    assert len(texts[0]) == 80
    assert texts[1] == texts[0]
