"""Health: what it tells, to how many, and that nobody who does not read keeps it from others."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server import health
from cloud_target.server.health import LIVENESS
from cloud_target.server.health import HealthLimits as Limits
from cloud_target.server.server import SERVICE, running
from cloud_target.server.turnstile import RevolvingDoor, Turnstile
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


def test_calls_that_are_over_are_gone(channel):
    """Also where nobody looks for what is left of them: a connection may have so many at once."""
    stub = health_pb2_grpc.HealthStub(channel)
    gc.disable()
    try:
        for number in range(100):
            if number % 2:
                with pytest.raises(grpc.RpcError) as caught:
                    stub.Check(asked("another"), timeout=PATIENCE)
                assert caught.value.code() is grpc.StatusCode.NOT_FOUND
                del caught
            else:
                assert stub.Check(asked(""), timeout=PATIENCE).status == Answer.SERVING
    finally:
        gc.enable()


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


def test_strangers_who_never_ask_keep_no_probe_out(monkeypatch):
    """More of them than there are places, each with as many calls as it may have."""
    monkeypatch.setattr(health, "HealthLimits", lambda: Limits(asking=(8, 2)))
    never = Event()

    def nothing() -> Iterator[health_pb2.HealthCheckRequest]:
        never.wait(PATIENCE)
        yield from ()

    def connected(stack: ExitStack, address: str) -> grpc.Channel:
        return stack.enter_context(grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),)))

    with running(ScriptedEngine(random_script(8), 8)) as address, ExitStack() as stack:
        coding = health_pb2.HealthCheckRequest.SerializeToString, Answer.FromString
        for _ in range(10):
            for _ in range(2):
                stranger = connected(stack, address).stream_unary("/grpc.health.v1.Health/Check", *coding)
                stranger.future(nothing(), timeout=PATIENCE)
        probe = health_pb2_grpc.HealthStub(connected(stack, address))
        for name in (LIVENESS, "") * 10:
            assert probe.Check(asked(name), timeout=PATIENCE).status == Answer.SERVING
        never.set()


@given(st.integers(1, 5), st.integers(1, 3), st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40))
def test_a_revolving_door_lets_the_newest_in(most, each, steps):
    """And nobody goes but whoever came first, or is done."""

    async def stay(door: RevolvingDoor, peer: str, done: asyncio.Event) -> None:
        async with door.place(peer):
            await done.wait()

    async def main() -> None:
        door, inside = RevolvingDoor(most, each), []
        for comes, number in steps:
            if comes:
                done = asyncio.Event()
                call = asyncio.create_task(stay(door, str(number), done))
                is_let_in = sum(peer == number for peer, *_ in inside) < each
                for _ in range(4):
                    await asyncio.sleep(0)
                if is_let_in:
                    if len(inside) == most:
                        _, oldest, _ = inside.pop(0)
                        assert isinstance(oldest.exception(), TargetBusy)
                    inside.append((number, call, done))
                else:
                    assert isinstance(call.exception(), TargetBusy)
            elif inside:
                _, call, done = inside.pop(number % len(inside))
                done.set()
                await call
            assert not any(call.done() for _, call, _ in inside)
        for _, call, done in inside:
            done.set()
            await call

    asyncio.run(main())


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
