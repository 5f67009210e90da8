"""Strangers begin by turns, few of a connection, and those who go on to call in vain are closed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from cloud_target.server import strangers
from cloud_target.server.strangers import StrangerLimits, Strangers

# No second turn within a test that does not wait for it.
SLOW = StrangerLimits(at_once=3, waiting=10, in_vain=5, pace=3600.0, burst=1)
QUICK = StrangerLimits(at_once=3, waiting=10, in_vain=5, pace=0.001, burst=1)


class Calls:
    """Calls that are begun, in order, as (connection, number of it); each lasts until it is over."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.running: list[asyncio.Future[None]] = []
        self._made: Counter[str] = Counter()

    def of(self, peer: str) -> Callable[[], asyncio.Future[None]]:
        number = self._made[peer]
        self._made[peer] += 1

        def begin() -> asyncio.Future[None]:
            self.begun.append((peer, number))
            self.running.append(asyncio.get_running_loop().create_future())
            return self.running[-1]

        return begin

    def end(self) -> None:
        for call in self.running:
            if not call.done():
                call.set_result(None)


def inside(limits: StrangerLimits, do: Callable[[Strangers, Calls, list[str]], Awaitable[None]]) -> Calls:
    """Run this in an event loop, with what is closed in its last argument."""
    calls, closed = Calls(), list[str]()

    async def main() -> None:
        await do(Strangers(closed.append, limits), calls, closed)

    asyncio.run(main())
    return calls


def test_connections_take_turns():
    async def do(strangers: Strangers, calls: Calls, _: list[str]) -> None:
        for _ in range(3):
            strangers.comes("many", False, calls.of("many"))
        strangers.comes("one", False, calls.of("one"))
        while len(calls.begun) < 4:
            await asyncio.sleep(0.001)

    assert inside(QUICK, do).begun == [("many", 0), ("many", 1), ("one", 0), ("many", 2)]


def test_turns_keep_their_pace_but_for_a_burst():
    limits = StrangerLimits(at_once=9, pace=0.02, burst=4)
    at: list[float] = []

    async def do(strangers: Strangers, calls: Calls, _: list[str]) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()

        def begin() -> asyncio.Future[None]:
            at.append(loop.time() - begun)
            return calls.of("peer")()

        for _ in range(8):
            strangers.comes("peer", False, begin)
        while len(at) < 8:
            await asyncio.sleep(0.001)

    inside(limits, do)
    assert at[3] < 0.02  # at once, before any turn was due
    assert at[7] >= 4 * 0.02 * 0.99  # a machine may be later, and never earlier


@pytest.mark.parametrize("is_in_vain", [False, True])
def test_of_one_connection_few_calls_are_kept(is_in_vain):
    async def do(strangers: Strangers, calls: Calls, closed: list[str]) -> None:
        for _ in range(4):
            strangers.comes("many", is_in_vain, calls.of("many"))
        strangers.comes("other", is_in_vain, calls.of("other"))
        assert not closed
        for _ in range(100):
            await asyncio.sleep(0.001)
            if len(calls.begun) == 4:
                return

    assert sorted(inside(QUICK, do).begun) == [("many", 0), ("many", 1), ("many", 2), ("other", 0)]


def test_what_is_over_makes_room():
    async def do(strangers: Strangers, calls: Calls, closed: list[str]) -> None:
        for number in range(1, 5):
            for _ in range(3):
                strangers.comes("peer", False, calls.of("peer"))
            while len(calls.begun) < 3 * number:
                await asyncio.sleep(0.001)
            calls.end()
            await asyncio.sleep(0)
        assert not closed

    assert len(inside(QUICK, do).begun) == 12


def test_who_only_calls_in_vain_is_closed_once_and_what_waits_is_dropped():
    async def do(strangers: Strangers, calls: Calls, closed: list[str]) -> None:
        for number in range(20):
            assert strangers.is_leaving("vain") == (number > 5)
            strangers.comes("vain", True, calls.of("vain"))
        strangers.comes("other", True, calls.of("other"))
        assert closed == ["vain"]

    assert inside(SLOW, do).begun == [("vain", 0)]


def test_whoever_has_the_name_of_one_that_was_closed_is_another_one(monkeypatch):
    monkeypatch.setattr(strangers, "_GONE", 0.01)

    async def do(strangers: Strangers, calls: Calls, closed: list[str]) -> None:
        for _ in range(20):
            strangers.comes("vain", True, calls.of("vain"))
        assert strangers.is_leaving("vain")
        while strangers.is_leaving("vain"):
            await asyncio.sleep(0.001)
        assert closed == ["vain"]

    inside(SLOW, do)


def test_who_does_not_call_in_vain_is_never_closed():
    """As a balancer that asks health for years."""

    async def do(strangers: Strangers, calls: Calls, closed: list[str]) -> None:
        for _ in range(20):
            strangers.comes("balancer", False, calls.of("balancer"))
            while len(calls.begun) != len(calls.running) or not calls.begun:
                await asyncio.sleep(0.001)
            calls.end()
            await asyncio.sleep(0.002)
        assert not closed

    inside(QUICK, do)


def test_who_is_known_is_never_closed():
    """As a proxy, over whose connection others call, too."""

    async def do(strangers: Strangers, calls: Calls, closed: list[str]) -> None:
        for _ in range(5):
            strangers.comes("proxy", True, calls.of("proxy"))
        strangers.welcome("proxy")
        for _ in range(20):
            strangers.comes("proxy", True, calls.of("proxy"))
        assert not closed
        assert not strangers.is_leaving("proxy")

    inside(SLOW, do)


def test_when_too_many_wait_the_greediest_gives_way():
    async def do(strangers: Strangers, calls: Calls, _: list[str]) -> None:
        strangers.comes("first", False, calls.of("first"))  # takes the only turn
        for number in range(4):
            for _ in range(3):
                strangers.comes(f"many {number}", False, calls.of(f"many {number}"))
        assert len(strangers._line) == 10
        strangers.comes("late", False, calls.of("late"))
        assert len(strangers._line) == 10
        assert "late" in strangers._line

    inside(SLOW, do)


def test_when_all_is_over_nothing_begins_any_more():
    async def do(strangers: Strangers, calls: Calls, _: list[str]) -> None:
        for _turn in range(3):
            strangers.comes("peer", False, calls.of("peer"))
        strangers.close()
        strangers.comes("other", False, calls.of("other"))
        await asyncio.sleep(0.05)

    assert inside(QUICK, do).begun == [("peer", 0)]


def test_nothing_is_kept_of_those_who_are_gone():
    async def do(strangers: Strangers, calls: Calls, _: list[str]) -> None:
        for number in range(5000):
            strangers.comes(f"{number}", True, calls.of(f"{number}"))
            strangers.welcome(f"known {number}")
            calls.end()
            await asyncio.sleep(0)
        assert len(strangers._in_vain) <= 4096
        assert len(strangers._known) <= 4096
        assert len(strangers._open) <= 10

    inside(SLOW, do)
