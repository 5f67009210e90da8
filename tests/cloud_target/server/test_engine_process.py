"""The process that a served model runs in, as an operator meets it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from edge_client.target.client import TargetClient
from edge_client.target.retry import Retry
from shared.config import Coupling, Sampling
from shared.errors import TargetError
from tests.cloud_target.server.process import PATIENCE, TrueProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc"),
]
DEAD = 1


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_service(number):
    with TrueProcess("--threads", "1", "--kv-memory", "16MiB") as server:
        (engine,) = children(server.pid)
        server.signal(number)
        until(lambda: is_gone(engine))


def test_a_service_whose_engine_was_killed_ends():
    with TrueProcess("--threads", "1", "--kv-memory", "16MiB") as server:
        (engine,) = children(server.pid)
        os.kill(engine, signal.SIGKILL)
        with (
            suppress(TargetError),
            TargetClient.connect(server.address, Retry(total=2.0)) as target,
            target.session(Sampling(0.7, seed=1), Coupling.GUMBEL, (), 3) as session,
        ):
            list(session.write_on([5, 6, 7], 4))
        status, log = server.ended()
    assert status == DEAD
    assert "the engine's process was killed by SIGKILL" in log
    assert "the engine fails at every pass" in log
    assert "nobody can be served any more" in log
