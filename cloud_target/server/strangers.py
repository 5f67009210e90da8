"""Calls of connections that have shown no token: few at a time, by turns, and behind everybody else's.

To refuse a call in a sentence takes many times as long as to make it. So those who are not known wait here for turns
of a fixed pace, each connection's behind every other's, while whoever is known begins at once; and a connection that
goes on to call in vain is closed. A connection, not an address: many may share that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from cloud_target.server.line import Line
from cloud_target.server.links import Address, Link
from cloud_target.server.remembered import Remembered

# Seconds after which the calls of one that was to be closed are counted anew: there may be another one of its name.
_GONE = 1.0
_Begin = Callable[[], "asyncio.Future[None]"]


@dataclass(frozen=True)
class StrangerLimits:
    """What those who are not known may have.

    Attributes:
        at_once: calls of one connection, waiting or under way; what comes beyond them ends without a sentence.
        waiting: calls of all connections that wait.
        in_vain: calls of one connection that can only be refused, or come beyond `at_once`, before it is closed.
        pace: seconds between two turns, on average.
        burst: turns that may follow each other at once after a pause.
    """

    at_once: int = 8
    waiting: int = 256
    in_vain: int = 50
    pace: float = 0.005
    burst: int = 16


class Strangers:
    """Decides when calls begin. Use inside one event loop.

    Args:
        send_away: told of each connection that is to be closed, once.
        limits: what strangers may have.
        spare: told of each that is not to be closed after all.
    """

    def __init__(
        self,
        send_away: Callable[[str], None],
        limits: StrangerLimits | None = None,
        spare: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._send_away, self._limits, self._spare = send_away, limits or StrangerLimits(), spare
        self._line: Line[_Begin] = Line()
        self._open: Counter[str] = Counter()
        self._known: Remembered[None] = Remembered()
        self._in_vain: Remembered[int] = Remembered()
        self._next = 0.0  # when the next turn would be, were there no bursts
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def is_leaving(self, peer: str) -> bool:
        """Whether this connection is to be closed: what still comes of it is not worth a look."""
        return self._in_vain.get(peer, 0) > self._limits.in_vain

    def welcome(self, peer: str) -> None:
        """This connection is known from now on."""
        self._known.put(peer, None)
        if peer in self._in_vain:
            self._in_vain.forget(peer)
            self._spare(peer)

    def see(self, links: Iterable[Link]) -> set[int]:
        """Forget those that are gone.

        Args:
            links: all that there are.

        Returns:
            The numbers of those that are known.
        """
        there: dict[Address, list[int]] = {}
        for link in links:
            there.setdefault(link.peer, []).append(link.number)
        self._known.see(there)
        self._in_vain.see(there)
        return set(self._known.links())

    def close(self) -> None:
        """Drop all that wait, and begin nothing more."""
        self._line.clear()
        self._is_closed = True

    def comes(self, peer: str, is_in_vain: bool, begin: _Begin) -> None:
        """A call of somebody who is not known.

        Args:
            peer: its connection, as gRPC names it. One that is known may have calls of strangers, too, as a proxy's.
            is_in_vain: whether it can only be refused.
            begin: begins it; what it gives is done when the call is over. What is dropped is never begun.
        """
        limits = self._limits
        if self._is_closed:
            return
        if peer not in self._known:
            is_too_many = self._open[peer] >= limits.at_once
            if (is_in_vain or is_too_many) and self._one_more(peer):
                return
            if is_too_many:
                return
        if len(self._line) >= limits.waiting and not self._make_room(peer):
            return
        self._open[peer] += 1
        self._line.join(peer, begin)
        if self._timer is None:
            self._take_turns()

    def _one_more(self, peer: str) -> bool:
        """Count a call in vain; whether that was one too many."""
        self._in_vain.put(peer, count := self._in_vain.get(peer, 0) + 1)
        if count == self._limits.in_vain + 1:
            for _ in range(self._line.drop_all(peer)):
                self._left(peer)
            asyncio.get_running_loop().call_later(_GONE, self._in_vain.forget, peer)
            self._send_away(peer)
        return count > self._limits.in_vain

    def _make_room(self, peer: str) -> bool:
        """Drop a call of whoever has most of them waiting, so that those of others do not keep this one out."""
        if (longest := self._line.drop_of_most(but=peer)) is None:
            return False
        self._left(longest)
        return True

    def _left(self, peer: str, _: object = None) -> None:
        self._open[peer] -= 1
        if not self._open[peer]:
            del self._open[peer]

    def _take_turns(self) -> None:
        self._timer, loop, pace = None, asyncio.get_running_loop(), self._limits.pace
        now = loop.time()
        self._next = max(self._next, now - pace * (self._limits.burst - 1))
        while self._line and self._next <= now:
            self._next += pace
            peer, begin = self._line.take()
            begin().add_done_callback(partial(self._left, peer))
        if self._line:
            self._timer = loop.call_at(self._next, self._take_turns)
