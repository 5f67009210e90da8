"""Sessions that nobody asks about: forgotten after the limit, those in use never, and nothing of them is remembered."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.idle import IdleSessions
from cloud_target.server.server import TargetServer
from shared.config import Sampling
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.devices import Device, Service
from tests.cloud_target.server.fake_time import run_in_fake_time

LIMIT = 10
PATIENCE = 20.0
steps = st.lists(
    st.tuples(
        st.sampled_from(["use", "end", "pass", "pass", "evict"]), st.integers(0, 1), st.sampled_from([1, 5, 9, 10])
    ),
    min_size=8,
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(steps)
def test_idle_ones_are_forgotten_and_no_others(steps):
    """Against the plain reading: of every session the moment of its last use, and how many use it now."""
    now, known, forgotten = 0, set(), []
    last: dict[bytes, int] = {}
    using: dict[bytes, list] = {bytes([number]): [] for number in range(2)}

    def forget(key: bytes) -> None:
        known.discard(key)
        forgotten.append(key)

    idle = IdleSessions(LIMIT, known.__contains__, forget, lambda: now)
    for what, number, seconds in steps:
        key = bytes([number])
        match what:
            case "use":
                known.add(key)
                using[key].append(idle.use(key))
                using[key][-1].__enter__()
            case "end" if using[key]:
                using[key].pop().__exit__(None, None, None)
                last[key] = now
            case "pass":
                now += seconds
            case "evict" if not using[key]:
                known.discard(key)
        due = {key for key in known if not using[key] and now - last[key] >= LIMIT}
        forgotten.clear()
        assert idle.sweep() == len(due)
        assert set(forgotten) == due
        assert len(idle) == sum(not using[key] for key in known), "no more is kept in mind than there is"


def test_without_a_limit_nobody_sweeps():
    asyncio.run(asyncio.wait_for(IdleSessions(float("inf"), bool, bytes).keep_sweeping(), PATIENCE))


@pytest.mark.slow
def test_a_server_forgets_an_idle_text_and_takes_it_again():
    async def main() -> None:
        engine = ScriptedEngine(random_script(8), 8, context=64)
        server = TargetServer(engine, port=0, session_idle=0.2)
        await server.start()
        try:
            async with grpc.aio.insecure_channel(server.address) as channel:
                stub = TargetServiceStub(channel)

                async def ask(sent: int) -> str:
                    message = request([1, 2, 3, 4], sent, Sampling(0.8, seed=5), judge_from=4 - sent)
                    message.request_id = 1
                    [answer] = [answer async for answer in stub.Decode(iter([message]), timeout=PATIENCE)]
                    return answer.WhichOneof("answer")

                assert await ask(0) == "verdict"
                table, end = server._servicer._table, time.monotonic() + PATIENCE
                while len(table):
                    assert time.monotonic() < end
                    await asyncio.sleep(0.02)
                assert table.used == 0
                assert await ask(3) == "resync"
                assert await ask(0) == "verdict"
        finally:
            await server.stop(1.0)

    asyncio.run(main())


def test_a_session_that_waits_or_just_left_keeps_its_place_in_the_line():
    """One comes again to a full target, waits for longer than sessions may be idle, is refused, and is away for longer
    than that, too; another one came later."""

    async def test() -> None:
        engine = ScriptedEngine(random_script(6), 6, slots=1, context=128)
        service = Service(engine, session_idle=0.5)
        await Device(1, [1, 2], 12).write(service)
        slow, again, later = Device(2, [3, 4], 110, reading=0.09), Device(1, [1, 2], 100), Device(3, [5, 1], 100)
        writing = []
        for device in (slow, again, later):
            writing.append(asyncio.create_task(device.write(service)))
            await asyncio.sleep(0.2)
        await asyncio.gather(*writing)
        assert again.refusals
        assert again.ended < later.began
        await service.close()

    run_in_fake_time(test(), 0.01)


def test_what_is_idle_is_forgotten_in_the_service():
    async def test() -> None:
        service = Service(ScriptedEngine(random_script(6), 6, slots=1, context=128), session_idle=2.0)
        first = Device(1, [1, 2], 12)
        await first.write(service)
        assert service.sessions() == 1
        await asyncio.sleep(3.0)
        assert service.sessions() == 0
        await service.close()

    run_in_fake_time(test(), 0.01)
