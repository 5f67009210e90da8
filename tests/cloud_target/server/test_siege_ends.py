"""A signal ends the server in time, whoever its peers are and whatever its device does; attacked from outside."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from grpc_health.v1 import health_pb2

from cloud_target.access.tokens import add_line, new_token
from cloud_target.server.server import SURELY_ENDED
from cloud_target.server.settings import HANGS
from shared.config import Sampling
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.process import BesiegedProcess
from tests.cloud_target.server.raw_peer import RawPeer, framed

DRAIN = 1.0
# What a machine that is busy with other things may add to what the server promises: it is no test of speed.
SLACK = 6.0
SAMPLING = Sampling(0.8, seed=5)
DECODE, CHECK, WATCH = "/tandem.v1.TargetService/Decode", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"


def a_text(number: int = 0, write_on: int = 0) -> bytes:
    """A request for a text of its own."""
    message = request([1, 2, 3], 0, SAMPLING, write_on=write_on)
    message.session.session_id, message.request_id = number.to_bytes(16, "big"), 1
    return framed(message.SerializeToString())


def ask(peer: RawPeer, path: str, message: bytes, *metadata: tuple[str, str], end: bool = False) -> int:
    stream = peer.call(path, *metadata)
    peer.send(stream, message, end)
    return stream


def watchers_without_a_window(server: BesiegedProcess, opened: ExitStack) -> None:
    for _ in range(3):
        peer = opened.enter_context(RawPeer(server.address, window=0))
        for name in ("", "tandem.v1.TargetService", "nobody"):
            ask(peer, WATCH, framed(health_pb2.HealthCheckRequest(service=name).SerializeToString()), end=True)
    checking = opened.enter_context(RawPeer(server.address))
    ask(checking, CHECK, framed(b""), end=True)
    checking.read_until(lambda: bool(checking.statuses))  # so the watchers were heard


def a_reader_of_nothing(server: BesiegedProcess, opened: ExitStack) -> None:
    peer = opened.enter_context(RawPeer(server.address, window=0))
    ask(peer, DECODE, a_text(write_on=4000))
    server.wait_for_a_line()


def a_pass_that_hangs(server: BesiegedProcess, opened: ExitStack) -> None:
    peer = opened.enter_context(RawPeer(server.address))
    ask(peer, DECODE, a_text())
    server.wait_for_a_line()


def a_full_queue(server: BesiegedProcess, opened: ExitStack) -> None:
    for connection in range(11):
        peer = opened.enter_context(RawPeer(server.address))
        for number in range(100):
            ask(peer, DECODE, a_text(100 * connection + number))
    server.wait_for_a_line()


def idle_streams(server: BesiegedProcess, opened: ExitStack) -> None:
    for _ in range(10):
        peer = opened.enter_context(RawPeer(server.address))
        for _ in range(100):
            peer.call(DECODE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("besiege", "pause"),
    [
        (watchers_without_a_window, 0.0),
        (a_reader_of_nothing, 0.0),
        (a_pass_that_hangs, 3600.0),
        (a_full_queue, 3600.0),
        (idle_streams, 0.0),
    ],
)
def test_a_signal_ends_it_in_time(besiege: Callable[[BesiegedProcess, ExitStack], None], pause: float):
    assert SURELY_ENDED < 2
    with BesiegedProcess(pause=pause, drain_seconds=DRAIN) as server, ExitStack() as opened:
        besiege(server, opened)
        status, log = server.end(signal.SIGTERM, DRAIN + SURELY_ENDED + SLACK)
    assert status == 0, log
    assert "did not end in time" not in log  # it was no last resort that ended it


@pytest.mark.slow
def test_a_signal_ends_it_in_time_without_its_file_of_tokens(tmp_path):
    path = tmp_path / "tokens"
    token, line = new_token("acme")
    add_line(path, line)
    with BesiegedProcess(tokens=str(path), drain_seconds=DRAIN) as server, RawPeer(server.address) as peer:
        ask(peer, DECODE, a_text(write_on=4000), ("authorization", f"Bearer {token}"))
        server.wait_for_a_line()
        path.unlink()
        status, log = server.end(signal.SIGTERM, DRAIN + SURELY_ENDED + SLACK)
    assert status == 0, log


SERVING, NOT_SERVING = (framed(health_pb2.HealthCheckResponse(status=status).SerializeToString()) for status in (1, 2))


class Watcher:
    """Watches the health of a server, until the block ends."""

    def __init__(self, server: BesiegedProcess, opened: ExitStack) -> None:
        self._peer = opened.enter_context(RawPeer(server.address))
        self._stream = ask(self._peer, WATCH, framed(b""), end=True)

    def wait_for(self, *statuses: bytes) -> None:
        """Until it has heard these, all in all."""
        self._peer.read_until(lambda: len(self._peer.heard.get(self._stream, b"")) >= len(b"".join(statuses)))
        assert self._peer.heard[self._stream] == b"".join(statuses)


@pytest.mark.slow
@pytest.mark.parametrize("holds", [False, True])
def test_a_second_signal_ends_it_at_once_whatever_hangs(holds):
    """Also where what hangs keeps Python from running at all."""
    with BesiegedProcess(pause=3600.0, holds=holds, drain_seconds=3600.0) as server, ExitStack() as opened:
        a_pass_that_hangs(server, opened)
        watcher = Watcher(server, opened)
        watcher.wait_for(SERVING)
        server.signal(signal.SIGTERM)
        watcher.wait_for(SERVING, NOT_SERVING)
        if holds:
            server.type_a_line()
            server.wait_for_a_line()
        status, log = server.end(signal.SIGTERM, SLACK)
    assert status == -signal.SIGTERM, log


@pytest.mark.slow
def test_a_pass_that_hangs_ends_it_with_a_status_of_its_own():
    with BesiegedProcess(pause=3600.0, pass_seconds=1.0) as server, ExitStack() as opened:
        watcher = Watcher(server, opened)
        watcher.wait_for(SERVING)
        a_pass_that_hangs(server, opened)
        watcher.wait_for(SERVING, NOT_SERVING)
        status, log = server.ended()
    assert status == HANGS, log
    assert "a forward pass has not ended within 1 seconds" in log
    assert "in forward" in log  # where it hangs


@pytest.mark.slow
def test_it_serves_and_ends_where_nobody_reads_its_standard_error():
    with BesiegedProcess(drain_seconds=DRAIN) as server, ExitStack() as opened:
        server.fill_standard_error()
        watcher = Watcher(server, opened)
        watcher.wait_for(SERVING)
        server.signal(signal.SIGUSR1)  # which it logs before it obeys
        watcher.wait_for(SERVING, NOT_SERVING)
        server.signal(signal.SIGTERM)
        status = server.status(DRAIN + SURELY_ENDED + SLACK)
    assert status == 0


@pytest.mark.slow
def test_a_pass_that_hangs_ends_it_where_nobody_reads_its_standard_error():
    with BesiegedProcess(pause=3600.0, pass_seconds=1.0) as server, ExitStack() as opened:
        server.fill_standard_error()
        a_pass_that_hangs(server, opened)
        status = server.status(1.0 + 1.0 + SURELY_ENDED + SLACK)
    assert status == HANGS
