"""deploy/healthcheck.py against a real health service on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cloud_target.server.health import LIVENESS
from tests.project.tree import ROOT

pytestmark = pytest.mark.slow

Status = health_pb2.HealthCheckResponse.ServingStatus


@pytest.fixture
def service() -> Iterator[tuple[health.HealthServicer, str]]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


def check(address: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "deploy/healthcheck.py"), address, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(("status", "code"), [(Status.SERVING, 0), (Status.NOT_SERVING, 1)])
def test_it_says_what_the_service_says(service: tuple[health.HealthServicer, str], status: int, code: int) -> None:
    servicer, address = service
    servicer.set("", status)
    run = check(address)
    assert run.returncode == code
    assert run.stdout.strip() == Status.Name(status)


def test_it_asks_about_what_it_is_told_to(service: tuple[health.HealthServicer, str]) -> None:
    servicer, address = service
    servicer.set("", Status.NOT_SERVING)
    servicer.set(LIVENESS, Status.SERVING)
    assert check(address, "--service", LIVENESS).returncode == 0
    assert check(address).returncode == 1


def test_a_dead_target_is_one_sentence() -> None:
    run = check("127.0.0.1:1")
    assert run.returncode == 1
    assert run.stderr == "127.0.0.1:1 does not answer (UNAVAILABLE); see whether it runs and speaks TLS\n"
