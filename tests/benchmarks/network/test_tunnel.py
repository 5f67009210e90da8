"""Packets between two namespaces are delayed and lost, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.network.profiles import Profile
from benchmarks.network.tunnel import Namespace, Tunnel, why_not

pytestmark = [pytest.mark.slow, pytest.mark.root]

SERVE = """
import sys
from benchmarks.network.ping import Echo
with Echo({host!r}) as echo:
    print(echo.port, flush=True)
    sys.stdin.read()
"""
PING = "from benchmarks.network.ping import round_trips; print(*round_trips({host!r}, {port}, {count}))"


@pytest.fixture(autouse=True, scope="module")
def possible() -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


def start(namespace: Namespace, code: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return namespace.start([sys.executable, "-c", code], **pipes, env=os.environ | {"PYTHONPATH": "."})


def pinged(profile: Profile, count: int) -> tuple[list[float], list[int]]:
    """Round trips over TCP between processes in the two namespaces, seconds, and packets lost each way."""
    with Tunnel(profile) as tunnel:
        with start(tunnel.cloud, SERVE.format(host=tunnel.cloud_address)) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            with start(tunnel.device, PING.format(host=tunnel.cloud_address, port=port, count=count)) as client:
                answer, _ = client.communicate(timeout=60)
            assert client.returncode == 0
            server.communicate(timeout=10)
        return [float(word) for word in answer.split()], list(tunnel.lost)


def test_a_round_trip_takes_its_time() -> None:
    times, lost = pinged(Profile("slow", 0.03, "a link of the test"), 10)
    assert min(times) >= 0.03
    assert lost == [0, 0]


def test_packets_are_lost_and_tcp_sends_them_again() -> None:
    times, lost = pinged(Profile("bad", 0.002, "a link of the test", loss=0.04), 40)
    assert len(times) == 40
    assert sum(lost) > 0


def test_a_namespace_reaches_nothing_else_and_is_left_behind_by_nobody() -> None:
    before = set(os.listdir("/proc/self/fd")), Path("/proc/net/dev").read_text().count(":")
    with Tunnel(Profile("none", 0.0, "a link of the test")) as tunnel:
        with tunnel.device.start(["ip", "route"], stdout=subprocess.PIPE) as process:
            routes, _ = process.communicate()
        assert routes.splitlines() == ["10.77.0.0/30 dev tandem proto kernel scope link src 10.77.0.1 "]
    assert (set(os.listdir("/proc/self/fd")), Path("/proc/net/dev").read_text().count(":")) == before
