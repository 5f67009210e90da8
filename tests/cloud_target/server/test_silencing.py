"""Connections that are sent away: not heard for a while, then reset, or at once where the system cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cloud_target.server.silencing import Silencer
from tests.cloud_target.server.fake_time import FakeTimeLoop


@dataclass
class Connection:
    """What is done with it, and when."""

    number: int
    can_be_silent: bool = True
    done: list[tuple[str, float]] = field(default_factory=list)

    def silence(self) -> bool:
        if self.can_be_silent:
            self._note("silent")
        return self.can_be_silent

    def reset(self) -> bool:
        self._note("reset")
        return True

    def _note(self, what: str) -> None:
        self.done.append((what, asyncio.get_running_loop().time()))


def inside(do: Callable[[], Awaitable[None]]) -> None:
    loop = FakeTimeLoop(0.0)
    try:
        loop.run_until_complete(do())
    finally:
        loop.close()


def test_nothing_is_heard_for_a_while_and_then_it_is_reset():
    async def do() -> None:
        silencer, link = Silencer(2.0), Connection(1)
        assert silencer.send_away(any_link(link))
        assert not silencer.send_away(any_link(link)), "it is told of once"
        assert link.done == [("silent", 0.0)]
        await asyncio.sleep(5.0)
        assert link.done == [("silent", 0.0), ("reset", 2.0)]

    inside(do)


def test_where_nothing_else_can_be_done_it_is_reset_at_once():
    async def do() -> None:
        for silencer, link in ((Silencer(0.0), Connection(1)), (Silencer(2.0), Connection(2, can_be_silent=False))):
            assert silencer.send_away(any_link(link))
            await asyncio.sleep(5.0)
            assert [what for what, _ in link.done] == ["reset"]

    inside(do)


def test_of_too_many_the_first_ones_are_reset_sooner():
    async def do() -> None:
        silencer, links = Silencer(2.0, most=3), [Connection(number) for number in range(10)]
        for link in links:
            assert silencer.send_away(any_link(link))
        assert [len(link.done) for link in links] == [2] * 7 + [1] * 3
        await asyncio.sleep(5.0)
        assert [[what for what, _ in link.done] for link in links] == [["silent", "reset"]] * 10

    inside(do)


def test_in_the_end_all_are_reset():
    async def do() -> None:
        silencer, links = Silencer(2.0), [Connection(number) for number in range(3)]
        for link in links:
            silencer.send_away(any_link(link))
        silencer.close()
        await asyncio.sleep(5.0)
        assert [link.done for link in links] == [[("silent", 0.0), ("reset", 0.0)]] * 3

    inside(do)


def any_link(link: Connection) -> Any:
    return link
