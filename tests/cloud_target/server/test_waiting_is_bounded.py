"""Whoever asks whatever, reads as it likes, leaves and comes back: each text gets room within a bound that hangs on
what stands before it, and none comes out otherwise than alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.scheduling.line import Line, Place
from cloud_target.server.timeouts import Timeouts
from cloud_target.sessions.session import session_key
from cloud_target.telemetry.observer import Observer
from tests.cloud_target.protocol.reference import alone
from tests.cloud_target.server.devices import Device, Service
from tests.cloud_target.server.fake_time import run_in_fake_time

VOCABULARY, CONTEXT, BLOCK = 6, 48, 8
SCRIPT = random_script(VOCABULARY)
TIMES = Timeouts()


@dataclass
class Plan:
    """What a device does: it asks at `at` seconds, and is gone for good `stays` seconds later."""

    device: Device
    at: float
    stays: float | None


class Room(Observer):
    """Sees that there never is less room than none, or more given than there is."""

    def kept(self, sessions: int, used: int, budget: int) -> None:
        assert 0 <= used <= budget


class Watched(Line):
    """Sees that nobody is gone past more often than tenants take turns, and that the next one is served in time.

    Together that is the bound of docs/architecture.md: turns, times how long the first in the line waits.

    Args:
        work: seconds of a pass.
    """

    def __init__(self, service: Service, devices: Sequence[Device], work: float) -> None:
        super().__init__()
        self._service, self._work = service, work
        self._devices = {session_key(d.tenant, d.session.to_bytes(16, "big")): d for d in devices}
        self._tenants = len({device.tenant for device in devices})
        self._turns: dict[Place, int] = {}
        self._since, self._wait = 0.0, 0.0

    def join(self, key: bytes, tenant: str, *args: object) -> Place:
        is_new, is_first = self.at(key) is None, not len(self)
        ahead = sum(place.tenant == tenant for place in self._order)
        place = super().join(key, tenant, *args)
        if is_new:
            self._turns[place] = ahead + (ahead + 1) * (self._tenants - 1)
        if is_first:
            self._begin()
        return place

    def served(self, place: Place) -> None:
        if place.waiter is not None:
            self._see_order(place)
            self._see_time()
        super().served(place)
        self.check_integrity()
        self._begin(place.key)

    def give_up(self, place: Place) -> None:
        super().give_up(place)
        self._begin()

    def _see_order(self, place: Place) -> None:
        """Those before it are away, and there is room for them; of those behind it, nobody has waited for too long."""
        before = list(takewhile(lambda other: other is not place, self._order))
        assert all(other.waiter is None for other in before)
        at_work = sum(lease.session.allocated for lease in self._service.leases._working.values())
        assert at_work + sum(other.tokens for other in before) <= self._service.capacity
        away = {other.tenant for other in before}
        for other in self._order:
            if other is not place and other.waiter is not None and other.tenant not in away:
                self._turns[other] -= 1
                assert self._turns[other] >= 0

    def _see_time(self) -> None:
        assert asyncio.get_running_loop().time() - self._since <= self._wait

    def _begin(self, *served: bytes) -> None:
        """The next one has its turn now, and waits for those who are at work."""
        self._since = asyncio.get_running_loop().time()
        at_work = [self._devices[key] for key in {*self._service.leases._working, *served}]
        passing = [self._hold(device, BLOCK) for device in self._devices.values()]
        holds = [self._hold(device, device.length - len(device.prompt)) for device in at_work]
        self._wait = TIMES.fair + TIMES.place + max(*passing, *holds)

    def _hold(self, device: Device, tokens: int) -> float:
        """How long a text may be at work: each token comes after the pass that runs and its own, and is read at the
        pace; a client that falls behind is noticed when somebody asks, who may just have gone to come back."""
        slow = TIMES.behind + TIMES.place + TIMES.unread + TIMES.unread_unwanted if device.reading > TIMES.pace else 0.0
        return (tokens + 1) * (2 * self._work + min(device.reading, TIMES.pace)) + slow


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    found = []
    for number in range(draw(st.integers(2, 9))):
        prompt = [number % VOCABULARY] * draw(st.integers(1, 6))
        device = Device(
            number,
            prompt,
            draw(st.integers(len(prompt) + 1, CONTEXT) | st.just(CONTEXT)),
            tenant=draw(st.sampled_from("aab")),
            reading=draw(st.sampled_from((0.0, 0.0, 0.05, 0.5, 3.0))),
            step=draw(st.sampled_from((CONTEXT, CONTEXT, 4, 1))),
            thrifty=draw(st.booleans()),
            leaves=tuple(draw(st.lists(st.floats(0.0, 9.0), max_size=3))),
            pause=draw(st.sampled_from((0.1, 1.0, 1.0, 6.0))),
        )
        stays = draw(st.none() | st.none() | st.floats(0.0, 20.0))
        found.append(Plan(device, draw(st.floats(0.0, 10.0)), stays))
    return found


async def ask(plan: Plan, service: Service) -> None:
    await asyncio.sleep(plan.at)
    try:
        async with asyncio.timeout(plan.stays):
            await plan.device.write(service)
    except TimeoutError:
        assert plan.stays is not None


async def all_are_served(plans: list[Plan], slots: int, work: float) -> None:
    devices = [plan.device for plan in plans]
    service = Service(ScriptedEngine(SCRIPT, VOCABULARY, slots, CONTEXT, BLOCK), Room())
    line = service.leases._line = Watched(service, devices, work)
    await asyncio.wait_for(asyncio.gather(*(ask(plan, service) for plan in plans)), 1_000)
    for plan in plans:
        device = plan.device
        assert device.text == alone(SCRIPT, device.prompt, device.sampling, len(device.text))
        assert len(device.text) == device.length or plan.stays is not None
        assert set(device.refusals) <= {"BUSY"}
    await asyncio.sleep(TIMES.place + 1)
    assert len(line) == 0
    await service.close()


@pytest.mark.slow
@settings(deadline=None)
@given(plans(), st.integers(1, 2), st.sampled_from((0.02, 0.3)))
def test_every_text_gets_room_in_time(plans, slots, work):
    run_in_fake_time(all_are_served(plans, slots, work), work)
