"""The process that a served model runs in, as an operator meets it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

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


def test_a_service_whose_engine_was_killed_ends_though_nobody_asks():
    with TrueProcess("--threads", "1", "--kv-memory", "16MiB") as server:
        (engine,) = children(server.pid)
        os.kill(engine, signal.SIGKILL)
        status, log = server.ended()
    assert status == DEAD
    assert "the process that the model runs in is gone" in log
    assert "nobody can be served any more" in log
