"""Health: what it tells, to how many, and that nobody who does not read keeps it from others."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import SERVICE, running
from cloud_target.server.turnstile import Turnstile
from shared.errors import TargetBusy

Answer = health_pb2.HealthCheckResponse
PATIENCE = 20.0


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    with running(ScriptedEngine(random_script(8), 8)) as address, grpc.insecure_channel(address) as channel:
        yield channel


def asked(name: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=name)


@pytest.mark.parametrize("name", ["", SERVICE])
def test_what_serves(channel, name):
    stub = health_pb2_grpc.HealthStub(channel)
    assert stub.Check(asked(name), timeout=PATIENCE).status == Answer.SERVING
    watch = stub.Watch(asked(name), timeout=PATIENCE)
    assert next(watch).status == Answer.SERVING
    watch.cancel()


def test_what_nobody_knows(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(asked("another"), timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(asked("another"), timeout=PATIENCE)
    assert next(watch).status == Answer.SERVICE_UNKNOWN
    watch.cancel()


def test_bytes_that_are_no_question(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/grpc.health.v1.Health/Check")(b"\xff" * 9, timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_connection_watches_twice_and_no_more(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    watches = [stub.Watch(asked(""), timeout=PATIENCE) for _ in range(2)]
    assert [next(watch).status for watch in watches] == [Answer.SERVING] * 2
    with pytest.raises(grpc.RpcError) as caught:
        next(stub.Watch(asked(""), timeout=PATIENCE))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(caught.value.trailing_metadata())["tandem-reason"] == "BUSY"
    assert stub.Check(asked(""), timeout=PATIENCE).status == Answer.SERVING
    for watch in watches:
        watch.cancel()


@given(st.integers(1, 6), st.integers(1, 3), st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40))
def test_a_turnstile_counts(most, each, steps):
    """It lets in whoever there is a place for, whatever came and went before."""
    turnstile, inside = Turnstile(most, each), {peer: [] for peer in "0123"}
    for comes, number in steps:
        there = inside[str(number)]
        if not comes:
            if there:
                there.pop().__exit__(None, None, None)
            continue
        place = turnstile.place(str(number))
        if sum(map(len, inside.values())) >= most or len(there) >= each:
            with pytest.raises(TargetBusy):
                place.__enter__()
        else:
            place.__enter__()
            there.append(place)
