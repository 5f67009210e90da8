"""A server that is taken out of service, stays, and comes back: from outside, by signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud_target.server.health import LIVENESS
from cloud_target.server.retiring import BACK, OUT, not_yet
from cloud_target.server.server import SERVICE
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.process import PATIENCE, BesiegedProcess, ScriptedProcess
from tests.cloud_target.server.test_drain import Writer
from tests.project.tree import ROOT

Answer = health_pb2.HealthCheckResponse


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
def test_out_of_service_and_back():
    with BesiegedProcess(pause=0.01) as server, grpc.insecure_channel(server.address) as channel:
        stub, health = TargetServiceStub(channel), health_pb2_grpc.HealthStub(channel)

        def status(name: str) -> int:
            return health.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE).status

        def statuses() -> list[int]:
            return [status(name) for name in ("", SERVICE, LIVENESS)]

        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert next(watch).status == Answer.SERVING
        message = request([1, 2, 3], 0, Sampling(0.8, seed=5), write_on=4000)
        message.request_id = 1
        text = stub.Decode(iter([message]), timeout=PATIENCE)
        assert next(text).HasField("verdict")
        for _ in range(2):  # the second one changes nothing
            server.signal(OUT)
            until(lambda: status("") == Answer.NOT_SERVING)
        assert next(watch).status == Answer.NOT_SERVING
        assert statuses() == [Answer.NOT_SERVING, Answer.NOT_SERVING, Answer.SERVING]
        with pytest.raises(grpc.RpcError) as ended:
            list(text)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Describe(wire.DescribeRequest(), timeout=PATIENCE)
        for caught in (ended, refused):
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert caught.value.details().startswith("the target takes no calls at the moment; connect again")
        server.signal(BACK)
        assert next(watch).status == Answer.SERVING
        assert statuses() == [Answer.SERVING] * 3
        assert stub.Describe(wire.DescribeRequest(), timeout=PATIENCE).vocabulary
        server.signal(OUT)
        until(lambda: status("") == Answer.NOT_SERVING)
        code, log = server.end(signal.SIGTERM)
    assert code == 0
    assert log.count("out of service") == 3
    assert log.count("in service again") == 1


@pytest.mark.slow
def test_no_text_is_lost_while_its_target_is_out_of_service():
    edges = [Writer(number) for number in range(3)]
    expected = [edge.undisturbed() for edge in edges]
    server = ScriptedProcess(0.008)
    for edge in edges:
        edge.address = server.address
        edge.start()
    until(lambda: sum(len(edge.written) for edge in edges) > 0.3 * sum(map(len, expected)))
    assert any(edge.is_alive() for edge in edges)
    server.signal(OUT)
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        until(lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE).status == Answer.NOT_SERVING)
    server.signal(BACK)
    for edge in edges:
        edge.join(PATIENCE)
    code, log = server.end(signal.SIGTERM)
    assert (code, [edge.error for edge in edges]) == (0, [None] * 3), log
    assert [edge.written for edge in edges] == expected


def test_while_it_loads_the_signals_do_nothing():
    """They would end a process that does not hear them yet."""
    heard = []
    before = {number: signal.signal(number, lambda *_: heard.append("before")) for number in (OUT, BACK)}
    try:
        with not_yet():
            os.kill(os.getpid(), OUT)
            os.kill(os.getpid(), BACK)
        assert heard == []
        os.kill(os.getpid(), OUT)
        assert heard == ["before"], "and are given back"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.slow
def test_a_target_that_loads_is_not_ended_by_them():
    command = [sys.executable, "-m", "cloud_target", "serve", "--port", "0", "--kv-memory", "8MiB", "--threads", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr.readline().startswith("cloud-target: loading")
        for number in (OUT, BACK):
            process.send_signal(number)
        line = process.stdout.readline()
        assert line.startswith("cloud-target: serving"), process.stderr.read()
        with grpc.insecure_channel(line.split()[-1]) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert answer.status == Answer.SERVING
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
