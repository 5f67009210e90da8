"""Standard streams that are closed or full: a sentence and a status, or a server that goes on without them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import grpc
import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.process import _ready
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.server.process import PATIENCE
from tests.grpc_service import unused_port
from tests.project.tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")]
FULL, CLOSED = "No space left on device", "standard output is closed"


def command(words: str) -> list[str]:
    """A command of the cloud, with redirections, for a shell that it takes the place of."""
    return ["sh", "-c", f'exec "{sys.executable}" -m cloud_target {words}']


def run(words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command(words), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "to", "why"),
    [("config show", ">/dev/full", FULL), ("config show", ">&-", CLOSED), ("token new acme", ">/dev/full", FULL)],
)
def test_what_cannot_be_told_is_an_error(words, to, why):
    assert run(f"{words} {to}") == (1, "", f"cloud-target: {why}; check the disk, or whatever the text is written to\n")


def test_where_messages_are_lost_the_status_stays():
    status, out, err = run("config show <&- 2>&-")
    assert (status, err) == (0, "")
    assert "kv-memory" in out
    assert run("config show --session-idle 0 2>/dev/full") == (2, "", "")
    assert run("config show >/dev/full 2>/dev/full") == (1, "", "")


def test_a_server_goes_on_without_its_streams():
    port = unused_port()
    server = subprocess.Popen(command(f"serve --threads 1 --port {port} >&- 2>/dev/full"), cwd=ROOT)
    try:
        with grpc.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 500)]
        ) as channel:
            asked = TargetServiceStub(channel).Describe(wire.DescribeRequest(), timeout=PATIENCE, wait_for_ready=True)
            assert asked.vocabulary
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()


def test_whoever_reads_the_log_hears_where_it_serves(monkeypatch, caplog):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        _ready(ScriptedEngine(random_script(6), 6), "127.0.0.1:7", None, None)
        print("and nothing of it is left to fail later", flush=True)
    [record] = caplog.records
    assert record.getMessage() == "standard output cannot be written"
    assert record.fields == {"address": "127.0.0.1:7"}
