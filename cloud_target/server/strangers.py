"""Calls of connections that have shown no token: few at a time, by turns, and behind everybody else's.

To refuse a call in a sentence takes many times as long as to make it. So those who are not known wait here for turns
of a fixed pace, each connection's behind every other's, while whoever is known begins at once; and a connection that
goes on to call in vain is closed. A connection, not an address: many may share that.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

# Connections of which it is remembered whether they are known, and how often they called in vain.
_REMEMBERED = 4096
# Seconds after which one that was closed is forgotten: another one may have its name by then.
_GONE = 1.0
_Begin = Callable[[], "asyncio.Future[None]"]
T = TypeVar("T")


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
    waiting: int = 512
    in_vain: int = 50
    pace: float = 0.002
    burst: int = 16


class Strangers:
    """Decides when calls begin. Use inside one event loop.

    Args:
        send_away: told of each connection that is to be closed, once.
        limits: what strangers may have.
    """

    def __init__(self, send_away: Callable[[str], None], limits: StrangerLimits | None = None) -> None:
        self._send_away, self._limits = send_away, limits or StrangerLimits()
        self._line: OrderedDict[str, deque[_Begin]] = OrderedDict()  # by connection, the next one first
        self._waiting = 0
        self._open: Counter[str] = Counter()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._in_vain: OrderedDict[str, int] = OrderedDict()
        self._next = 0.0  # when the next turn would be, were there no bursts
        self._timer: asyncio.TimerHandle | None = None

    def is_leaving(self, peer: str) -> bool:
        """Whether this connection is to be closed: what still comes of it is not worth a look."""
        return self._in_vain.get(peer, 0) > self._limits.in_vain

    def welcome(self, peer: str) -> None:
        """This connection is known from now on."""
        _remember(self._known, peer, None)
        self._in_vain.pop(peer, None)

    def comes(self, peer: str, is_in_vain: bool, begin: _Begin) -> None:
        """A call of somebody who is not known.

        Args:
            peer: its connection, as gRPC names it. One that is known may have calls of strangers, too, as a proxy's.
            is_in_vain: whether it can only be refused.
            begin: begins it; what it gives is done when the call is over. What is dropped is never begun.
        """
        limits = self._limits
        if peer not in self._known:
            is_too_many = self._open[peer] >= limits.at_once
            if (is_in_vain or is_too_many) and self._one_more(peer):
                return
            if is_too_many:
                return
        if self._waiting >= limits.waiting and not self._make_room(peer):
            return
        self._open[peer] += 1
        self._waiting += 1
        self._line.setdefault(peer, deque()).append(begin)
        if self._timer is None:
            self._take_turns()

    def _one_more(self, peer: str) -> bool:
        """Count a call in vain; whether that was one too many."""
        _remember(self._in_vain, peer, count := self._in_vain.get(peer, 0) + 1)
        if count == self._limits.in_vain + 1:
            for _ in self._line.pop(peer, ()):
                self._drop(peer)
            asyncio.get_running_loop().call_later(_GONE, self._in_vain.pop, peer, None)
            self._send_away(peer)
        return count > self._limits.in_vain

    def _make_room(self, peer: str) -> bool:
        """Drop a call of whoever has most of them waiting, so that those of others do not keep this one out."""
        longest = max(self._line, key=lambda one: len(self._line[one]))
        if len(self._line[longest]) <= len(self._line.get(peer, ())) + 1:
            return False
        self._line[longest].pop()
        self._drop(longest)
        return True

    def _drop(self, peer: str) -> None:
        self._waiting -= 1
        self._left(peer)

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
            peer, calls = self._line.popitem(last=False)
            begin = calls.popleft()
            self._waiting -= 1
            if calls:
                self._line[peer] = calls
            begin().add_done_callback(partial(self._left, peer))
        if self._line:
            self._timer = loop.call_at(self._next, self._take_turns)


def _remember(of: OrderedDict[str, T], peer: str, value: T) -> None:
    of[peer] = value
    of.move_to_end(peer)
    if len(of) > _REMEMBERED:
        of.popitem(last=False)
