"""No text starves another: the faults as they were found, with devices in fake time that ask the whole service."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from tests.cloud_target.protocol.reference import alone
from tests.cloud_target.server.devices import Device, Service
from tests.cloud_target.server.fake_time import run_in_fake_time

VOCABULARY, CONTEXT = 6, 128
SCRIPT = random_script(VOCABULARY)


def service_of_one_text() -> Service:
    """Its cache holds one text of full length."""
    return Service(ScriptedEngine(SCRIPT, VOCABULARY, slots=1, context=CONTEXT))


def is_right(device: Device) -> bool:
    return device.text == alone(SCRIPT, device.prompt, device.sampling, len(device.text))


async def until_cancelled(*tasks: asyncio.Task) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.slow
def test_a_large_text_does_not_starve_among_small_ones():
    """There is room for eight texts of 16 tokens, 20 devices write them one after the other, and one wants 100."""

    async def test() -> None:
        service, numbers, small = service_of_one_text(), count(1), []

        async def crowd() -> None:
            while True:
                small.append(Device(next(numbers), [1, 2], 16))
                await small[-1].write(service)

        crowds = [asyncio.create_task(crowd()) for _ in range(20)]
        await asyncio.sleep(20)
        large = Device(0, [3, 4], 100)
        await asyncio.wait_for(large.write(service), 120)
        await until_cancelled(*crowds)
        assert is_right(large)
        assert large.refusals  # it was no stroke of luck
        later = [device for device in small if device.came > large.came]
        assert len(later) > 10
        assert all(device.began is None or device.began >= large.began for device in later)
        await service.close()

    run_in_fake_time(test(), work=0.4)


@pytest.mark.parametrize("reading", [3.0, 0.5])
def test_a_slow_reader_does_not_keep_the_cache_from_its_own_tenant(reading):
    """It takes its time for each answer; meanwhile another text of its tenant is written in its place."""

    async def test() -> None:
        service, slow, other = service_of_one_text(), Device(1, [1, 2], 120, reading=reading), Device(2, [3, 4], 40)
        dawdling = asyncio.create_task(slow.write(service))
        await asyncio.sleep(10)
        await asyncio.wait_for(other.write(service), 20)
        assert is_right(other)
        await asyncio.sleep(20)
        assert slow.refusals == ["BUSY"]
        await asyncio.wait_for(dawdling, 400)  # it goes on when nobody waits
        assert is_right(slow)
        assert slow.refusals == ["BUSY"]
        await service.close()

    run_in_fake_time(test(), work=0.05)
