"""Who gets room and when: in order, within the tenant's own length, and not for ever where nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import grpc
import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.requests import Limits, Request, parse_request, parse_terms
from cloud_target.server.leases import Leases
from cloud_target.server.server import running
from cloud_target.server.timeouts import Timeouts
from cloud_target.sessions.table import SessionTable
from shared.config import Sampling
from shared.errors import TargetBusy, TargetUnavailable
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request

VOCABULARY, CONTEXT = 6, 64
SCRIPT = random_script(VOCABULARY)


def make_table(slots: int) -> SessionTable:
    return SessionTable(ScriptedEngine(SCRIPT, VOCABULARY, slots, CONTEXT))


def wanted(session: int, tenant: str = "", write_on: int = CONTEXT) -> Request:
    limits = Limits(VOCABULARY, CONTEXT, CONTEXT)
    message = request([1, 2], 0, Sampling(), judge_from=2, write_on=write_on, session_id=bytes([session]) * 16)
    return parse_request(message, parse_terms(message, limits, tenant), limits)


def run(test: Callable) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_tenant_that_writes_long_texts_gives_room_to_one_that_has_none():
    """Its largest text ends with an error that lets its edge come again; who has something at work only waits."""

    async def test() -> None:
        leases, ended = Leases(make_table(2), Timeouts(patience=5.0, fair=0.05)), []

        async def write(session: int) -> None:
            async with leases.take(wanted(session, "crowd"), CONTEXT) as lease:
                while not lease.unwanted:
                    await asyncio.sleep(0)
                with pytest.raises(TargetBusy, match="another tenant waits"):
                    lease.check()
                ended.append(session)

        crowd = [asyncio.create_task(write(session)) for session in (1, 2, 3)]
        await asyncio.sleep(0.2)  # the third waits, of the same tenant
        assert not ended
        async with leases.take(wanted(9, "lone"), CONTEXT):
            assert 1 <= len(ended) <= 2  # the third may have come first
            lone = asyncio.create_task(write(8))
            await asyncio.sleep(0)
            lone.cancel()
        for task in crowd:
            task.cancel()

    run(test)


def test_a_stream_that_asks_back_to_back_does_not_starve_those_that_wait():
    async def test() -> None:
        leases, order = Leases(make_table(1)), []

        async def ask(session: int, tenant: str, times: int) -> None:
            for _ in range(times):
                async with leases.take(wanted(session, tenant), CONTEXT):
                    order.append(session)
                    await settled()

        asked = [(1, "crowd", 6), (2, "crowd", 1), (3, "crowd", 1), (4, "lone", 1)]
        await asyncio.gather(*(ask(*one) for one in asked))
        assert order[:4] == [1, 2, 4, 3]  # tenants in turn, and in order within one
        assert order[4:] == [1] * 5

    run(test)


def test_whoever_needs_no_new_room_goes_past_those_that_wait():
    async def test() -> None:
        leases, order = Leases(make_table(1)), []
        async with leases.take(wanted(1, write_on=CONTEXT - 20), CONTEXT):

            async def ask(session: int, write_on: int) -> None:
                async with leases.take(wanted(session, write_on=write_on), CONTEXT):
                    order.append(session)

            large = asyncio.create_task(ask(2, CONTEXT))
            await settled()
            small = asyncio.create_task(ask(3, 0))  # there would be room for it
            later = replace(wanted(4), position=9, prefix_hash=1)
            async with leases.take(later, CONTEXT):
                order.append(4)
            await settled()
            assert order == [4]
        await asyncio.gather(large, small)
        assert order == [4, 2, 3]

    run(test)


def test_a_newer_request_of_a_session_does_not_wait_for_ever():
    async def test() -> None:
        leases = Leases(make_table(1), Timeouts(patience=0.02))
        async with leases.take(wanted(1), CONTEXT) as lease:
            with pytest.raises(TargetBusy, match="an older request"):
                await leases.take(wanted(1), CONTEXT).__aenter__()
            assert lease.unwanted

    run(test)


def test_a_tenants_own_context_bounds_its_room():
    async def test() -> None:
        table = make_table(1)
        leases = Leases(table)
        async with leases.take(wanted(1), 16), leases.take(wanted(2), 16):
            assert table.used == 32

    run(test)


def test_a_write_that_hangs_ends_and_sooner_where_somebody_waits():
    async def test() -> None:
        leases = Leases(make_table(1), Timeouts(unread_unwanted=0.01))

        async def hang() -> None:
            async with leases.take(wanted(1), CONTEXT) as lease:
                await lease.write(asyncio.Event().wait())

        older = asyncio.create_task(hang())
        await settled()
        async with leases.take(wanted(1), CONTEXT):
            with pytest.raises(TargetUnavailable, match="not read in time"):
                await older

    run(test)


@pytest.fixture
def deaf() -> Iterator[Callable[[str], grpc.Channel]]:
    """Connects without room for more than a few answers that nobody reads."""
    channels = []

    def connect(address: str) -> grpc.Channel:
        options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
        channels.append(grpc.insecure_channel(address, options=options))
        return channels[-1]

    yield connect
    for channel in channels:
        channel.close()


@pytest.mark.slow
def test_clients_that_do_not_read_lose_their_room(deaf):
    engine = ScriptedEngine(SCRIPT, VOCABULARY, slots=2, context=4096)
    with running(engine, timeouts=Timeouts(unread=1.0)) as address:
        stub, calls = TargetServiceStub(deaf(address)), []
        for session in range(2):
            message = request([1, 2], 0, Sampling(), judge_from=2, write_on=4090, session_id=bytes([session]) * 16)
            calls.append(stub.Decode(iter([message]), timeout=60))
        for call in calls:
            next(call)
        with grpc.insecure_channel(address) as channel:
            message = request([1, 2], 0, Sampling(), judge_from=2, write_on=4090)
            answers = list(TargetServiceStub(channel).Decode(iter([message]), timeout=60))
        assert len(answers) == 4091
        for call in calls:
            with pytest.raises(grpc.RpcError):
                list(call)
            assert call.code() is grpc.StatusCode.UNAVAILABLE
