"""A signal ends the server in time, whoever its peers are and whatever its device does; attacked from outside."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from benchmarks.siege.said import CHECK, DECODE, WATCH, framed
from cloud_target.access.tokens import add_line, new_token
from cloud_target.server.heartbeat import GRACE
from cloud_target.server.server import SERVICE, SURELY_ENDED
from cloud_target.server.settings import HANGS
from shared.config import Sampling
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.process import BesiegedProcess, TrueProcess
from tests.cloud_target.server.raw_peer import RawPeer

DRAIN = 1.0
# What a machine that is busy with other things may add to what the server promises: it is no test of speed.
SLACK = 6.0
SAMPLING = Sampling(0.8, seed=5)
DESCRIBE = f"/{SERVICE}/Describe"
# Calls of one connection: more than a server allows by itself.
CALLS = 100
# Tokens that whoever reads nothing asks for: more than go on their way unread, and fewer than any context has.
MANY = 900


@dataclass(frozen=True)
class Besieged:
    """A server, those who besiege it, and what lets them in.

    Attributes:
        tokens: the file of those who may call.
        token: of the callers, as metadata.
        opened: closes their connections.
    """

    server: BesiegedProcess | TrueProcess
    tokens: Path
    token: tuple[str, str]
    opened: ExitStack

    def peer(self, window: int = 65_535) -> RawPeer:
        return self.opened.enter_context(RawPeer(self.server.address, window))

    def decode(self, peer: RawPeer, number: int = 0, write_on: int = 0) -> int:
        """Ask for a text of its own."""
        message = request([1, 2, 3], 0, SAMPLING, write_on=write_on)
        message.session.session_id, message.request_id = number.to_bytes(16, "big"), 1
        return ask(peer, DECODE, framed(message.SerializeToString()), self.token)

    def until_it_reads(self) -> None:
        """Until a pass has begun."""
        if isinstance(self.server, BesiegedProcess):
            self.server.wait_for_a_line()
            return
        peer = self.peer()
        stream = self.decode(peer, number=1 << 20)
        peer.read_until(lambda: stream in peer.heard or stream in peer.statuses)  # it came after all others


def ask(peer: RawPeer, path: str, message: bytes, *metadata: tuple[str, str], end: bool = False) -> int:
    stream = peer.call(path, *metadata)
    peer.send(stream, message, end)
    return stream


def watchers_without_a_window(besieged: Besieged) -> None:
    for _ in range(3):
        peer = besieged.peer(window=0)
        for name in ("", "tandem.v1.TargetService", "nobody"):
            ask(peer, WATCH, framed(health_pb2.HealthCheckRequest(service=name).SerializeToString()), end=True)
    checking = besieged.peer()
    ask(checking, CHECK, framed(b""), end=True)
    checking.read_until(lambda: bool(checking.statuses))  # so the watchers were heard


def a_reader_of_nothing(besieged: Besieged) -> None:
    besieged.decode(besieged.peer(window=0), write_on=MANY)
    besieged.until_it_reads()


def a_pass_that_hangs(besieged: Besieged) -> None:
    besieged.decode(besieged.peer())
    besieged.until_it_reads()


def a_full_queue(besieged: Besieged) -> None:
    for connection in range(11):
        peer = besieged.peer()
        for number in range(CALLS):
            besieged.decode(peer, 1 + CALLS * connection + number)
    besieged.until_it_reads()


def idle_streams(besieged: Besieged) -> None:
    for _ in range(10):
        peer = besieged.peer()
        for _ in range(CALLS):
            peer.call(DECODE, besieged.token)


def no_file_of_tokens(besieged: Besieged) -> None:
    a_reader_of_nothing(besieged)
    besieged.tokens.unlink()


@pytest.fixture
def besieged(tmp_path) -> Iterator[Callable[[Callable[[Path], BesiegedProcess | TrueProcess]], Besieged]]:
    """Makes a siege of the server that is started with a file of tokens."""
    path = tmp_path / "tokens"
    token, line = new_token("acme")
    add_line(path, line)
    with ExitStack() as opened:

        def start(server: Callable[[Path], BesiegedProcess | TrueProcess]) -> Besieged:
            return Besieged(opened.enter_context(server(path)), path, ("authorization", f"Bearer {token}"), opened)

        yield start


BESIEGED = ("--threads", 1, "--connection-streams", CALLS)
SIEGES = [
    (watchers_without_a_window, 0.0),
    (a_reader_of_nothing, 0.0),
    (a_pass_that_hangs, 3600.0),
    (a_full_queue, 3600.0),
    (idle_streams, 0.0),
    (no_file_of_tokens, 0.0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("besiege", "pause"), SIEGES)
def test_a_signal_ends_it_in_time(besiege: Callable[[Besieged], None], pause: float, besieged):
    assert SURELY_ENDED < 2
    many = {"streams": CALLS}
    siege = besieged(
        lambda tokens: BesiegedProcess(pause=pause, drain_seconds=DRAIN, tokens=str(tokens), connections=many)
    )
    besiege(siege)
    status, log = siege.server.end(signal.SIGTERM, DRAIN + SURELY_ENDED + SLACK)
    assert status == 0, log
    assert "did not end in time" not in log  # it was no last resort that ended it


@pytest.mark.slow
def test_the_true_program_ends_in_time_beside_all_of_them_at_once(besieged):
    """All but a pass that hangs, for its target is a true one."""
    siege = besieged(lambda tokens: TrueProcess("--tokens", tokens, "--drain-seconds", DRAIN, *BESIEGED))
    for besiege, _ in SIEGES:
        if besiege is not a_pass_that_hangs:
            besiege(siege)
    status, log = siege.server.end(signal.SIGTERM, DRAIN + SURELY_ENDED + SLACK)
    assert status == 0, log
    assert "did not end in time" not in log


@pytest.mark.slow
def test_a_second_signal_ends_the_true_program_at_once(besieged):
    siege = besieged(lambda tokens: TrueProcess("--tokens", tokens, "--drain-seconds", 3600, *BESIEGED))
    idle_streams(siege)
    watcher = Watcher(siege)
    watcher.wait_for(SERVING)
    siege.server.signal(signal.SIGTERM)
    watcher.wait_for(SERVING, NOT_SERVING)
    status, log = siege.server.end(signal.SIGTERM, SLACK)
    assert status == -signal.SIGTERM, log


SERVING, NOT_SERVING = (framed(health_pb2.HealthCheckResponse(status=status).SerializeToString()) for status in (1, 2))


class Watcher:
    """Watches the health of a server, until the block ends."""

    def __init__(self, besieged: Besieged) -> None:
        self._peer = besieged.peer()
        self._stream = ask(self._peer, WATCH, framed(b""), end=True)

    def wait_for(self, *statuses: bytes) -> None:
        """Until it has heard these, all in all."""
        self._peer.read_until(lambda: len(self._peer.heard.get(self._stream, b"")) >= len(b"".join(statuses)))
        assert self._peer.heard[self._stream] == b"".join(statuses)


@pytest.mark.slow
@pytest.mark.parametrize("holds", [False, True])
def test_a_second_signal_ends_it_at_once_whatever_hangs(holds, besieged):
    """Also where what hangs keeps Python from running at all."""
    siege = besieged(lambda tokens: BesiegedProcess(pause=3600.0, holds=holds, drain_seconds=3600, tokens=str(tokens)))
    a_pass_that_hangs(siege)
    watcher = Watcher(siege)
    watcher.wait_for(SERVING)
    siege.server.signal(signal.SIGTERM)
    watcher.wait_for(SERVING, NOT_SERVING)
    if holds:
        siege.server.type_a_line()
        siege.server.wait_for_a_line()
    status, log = siege.server.end(signal.SIGTERM, SLACK)
    assert status == -signal.SIGTERM, log


def a_loop_that_sticks(besieged: Besieged) -> None:
    besieged.server.type_a_line()
    besieged.server.wait_for_a_line()


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once_where_its_loop_has_not_heard_the_first(besieged):
    siege = besieged(lambda tokens: BesiegedProcess(sticks=True, drain_seconds=3600, tokens=str(tokens)))
    a_loop_that_sticks(siege)
    siege.server.signal(signal.SIGTERM)
    status, log = siege.server.end(signal.SIGINT, SLACK)
    # Whichever the system told first; the second by itself where the first one's handler has left it to the system.
    assert status in (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGINT), log


@pytest.mark.slow
def test_a_signal_ends_it_in_time_where_its_loop_has_not_heard_it(besieged):
    siege = besieged(lambda tokens: BesiegedProcess(sticks=True, drain_seconds=DRAIN, tokens=str(tokens)))
    a_loop_that_sticks(siege)
    status, log = siege.server.end(signal.SIGTERM, DRAIN + SURELY_ENDED + SLACK)
    assert status == 0, log
    assert "did not end in time" in log
    assert "in stick" in log  # where it hangs


@pytest.mark.slow
def test_a_file_of_tokens_that_becomes_a_pipe_changes_nothing(besieged):
    siege = besieged(lambda tokens: TrueProcess("--tokens", tokens, "--drain-seconds", DRAIN, "--threads", 1))
    siege.tokens.unlink()
    os.mkfifo(siege.tokens)
    for _ in range(2):
        peer = siege.peer()
        stream = ask(peer, DESCRIBE, framed(b""), siege.token, end=True)
        peer.read_until(lambda peer=peer, stream=stream: stream in peer.statuses)
        assert peer.statuses[stream] == "0"
    status, log = siege.server.end(signal.SIGTERM, DRAIN + SURELY_ENDED + SLACK)
    assert status == 0, log
    assert log.count("it is no regular file") == 1
    assert "did not end in time" not in log


@pytest.mark.slow
@pytest.mark.parametrize("is_read", [True, False])
def test_a_pass_that_keeps_python_from_running_ends_it(is_read, besieged):
    """No thread of Python notices, no signal is heard, and it ends all the same."""
    siege = besieged(lambda tokens: BesiegedProcess(holds=True, pass_seconds=1.0, tokens=str(tokens)))
    if not is_read:
        siege.server.fill_standard_error()
    a_pass_that_hangs(siege)
    siege.server.type_a_line()
    siege.server.wait_for_a_line()
    status = siege.server.status(1.0 + GRACE + SLACK)
    assert status == 1
    if is_read:
        _, log = siege.server.ended()
        assert "Timeout" in log
        assert "in forward" in log  # where it hangs


@pytest.mark.slow
def test_a_process_whose_python_runs_goes_on(besieged):
    siege = besieged(lambda tokens: BesiegedProcess(pass_seconds=0.1, drain_seconds=DRAIN, tokens=str(tokens)))
    with pytest.raises(subprocess.TimeoutExpired):
        siege.server.status(0.1 + GRACE + 1.0)
    status, log = siege.server.end(signal.SIGTERM, DRAIN + SURELY_ENDED + SLACK)
    assert status == 0, log


@pytest.mark.slow
def test_a_pass_that_hangs_ends_it_with_a_status_of_its_own(besieged):
    siege = besieged(lambda tokens: BesiegedProcess(pause=3600.0, pass_seconds=1.0, tokens=str(tokens)))
    watcher = Watcher(siege)
    watcher.wait_for(SERVING)
    a_pass_that_hangs(siege)
    watcher.wait_for(SERVING, NOT_SERVING)
    status, log = siege.server.ended()
    assert status == HANGS, log
    assert "a forward pass has not ended within 1 seconds" in log
    assert "in forward" in log  # where it hangs


@pytest.mark.slow
def test_it_serves_and_ends_where_nobody_reads_its_standard_error(besieged):
    siege = besieged(lambda tokens: BesiegedProcess(drain_seconds=DRAIN, tokens=str(tokens)))
    siege.server.fill_standard_error()
    watcher = Watcher(siege)
    watcher.wait_for(SERVING)
    siege.server.signal(signal.SIGUSR1)  # which it logs before it obeys
    watcher.wait_for(SERVING, NOT_SERVING)
    siege.server.signal(signal.SIGTERM)
    status = siege.server.status(DRAIN + SURELY_ENDED + SLACK)
    assert status == 0


@pytest.mark.slow
def test_a_pass_that_hangs_ends_it_where_nobody_reads_its_standard_error(besieged):
    siege = besieged(lambda tokens: BesiegedProcess(pause=3600.0, pass_seconds=1.0, tokens=str(tokens)))
    siege.server.fill_standard_error()
    a_pass_that_hangs(siege)
    status = siege.server.status(1.0 + 1.0 + SURELY_ENDED + SLACK)
    assert status == HANGS
