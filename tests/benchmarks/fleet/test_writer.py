"""A simulated device and a real server over the hashing engine: every answer is checked, and what is wrong is seen."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable

import grpc

from benchmarks.fleet.device import Device
from benchmarks.fleet.engine import HashEngine
from benchmarks.fleet.traces import Call, Pass, Trace
from benchmarks.fleet.writer import Tally, Writer
from cloud_target.server.server import running
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

CALLS = (Call(9, 4, 0, 0, False), Call(0, 3, 1, 0, True), Call(0, 2, 2, 2, True), Call(0, 0, 3, 1, True))
TRACE = Trace(9, 20, [Pass(0.0, 9)], CALLS)


def written(target: HashEngine, calls: int, disturb: Callable[[int], None] = lambda _: None) -> Tally:
    async def write(address: str) -> Tally:
        tally = Tally()
        async with grpc.aio.insecure_channel(address) as channel:
            writer = Writer(3, TargetServiceStub(channel), [TRACE], tally)
            for number in range(calls):
                disturb(number)
                await writer.call()
        return tally

    with running(target) as address:
        return asyncio.run(write(address))


def quick() -> HashEngine:
    return HashEngine(Device(base=0.0, per_token=0.0), 8)


def test_every_answer_of_two_texts_is_what_it_must_be() -> None:
    tally = written(quick(), 8)
    assert (tally.calls, tally.texts, tally.wrong, tally.resyncs, tally.errors.total()) == (8, 2, 0, 0, 0)
    assert tally.tokens == 2 * sum(call.settled for call in CALLS)
    assert tally.served == {3}


def test_a_cache_that_is_not_the_texts_own_is_seen() -> None:
    target = quick()

    def disturb(number: int) -> None:
        if number == 2:
            for hashes in target._hashes.values():
                hashes[:] = array("Q", [each ^ 1 for each in hashes])

    assert written(target, 4, disturb).wrong > 0


def test_tallies_add_up() -> None:
    one, other = Tally(calls=1, served={1}), Tally(calls=2, served={2}, latencies=[0.5])
    one.errors["UNAVAILABLE"] += 1
    total = one + other
    assert (total.calls, total.served, total.latencies, total.errors.total()) == (3, {1, 2}, [0.5], 1)
