"""Session leases: who may work on which session now, and who gets room for its text next.

One request at a time works on a session, and a newer one ends what an older one left unfinished. The rules by which
room is given, and what follows from them: docs/architecture.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from cloud_target.protocol.begin import begin, needed
from cloud_target.protocol.requests import Request
from cloud_target.scheduling.line import Line, Place
from cloud_target.server.crowds import Crowds
from cloud_target.server.lease import TAKEN_OVER, Lease
from cloud_target.server.timeouts import Timeouts
from cloud_target.sessions.table import SessionTable
from shared.errors import TargetBusy, TargetRefused

_FULL = (
    "the target's memory is full of texts that are being worked on; try again in a moment, your place in line is kept"
)


@dataclass(frozen=True, eq=False)
class _Waiter:
    """A request that waits, and where its lease will be; cancelled where another one of its session has come."""

    request: Request
    context: int
    more: int
    turn: asyncio.Future[Lease]


class Leases:
    """Leases sessions to requests. Runs inside one event loop.

    Args:
        timeouts: how long it waits for what.
    """

    def __init__(self, table: SessionTable, timeouts: Timeouts | None = None) -> None:
        self._table = table
        self._timeouts = timeouts or Timeouts()
        self._working: dict[bytes, Lease] = {}
        self._crowds = Crowds()
        self._line: Line[_Waiter] = Line()
        self._newest: dict[bytes, _Waiter] = {}  # of each session for which somebody waits

    @asynccontextmanager
    async def take(self, request: Request, context: int, more: int = 0) -> AsyncIterator[Lease]:
        """Wait for the session and for all the room that its answer may need, and have both until the block ends.

        A request that waits holds nothing, so two never wait for each other. Those that wait for room stand in a line,
        and keep their place for a while when they are refused; whoever needs no more than its session has goes past
        them.

        Args:
            context: longest text in tokens.
            more: tokens that it had better have room for, too, where there is some.

        Raises:
            TargetBusy: texts at work left too little room, or the session's older request went on, for the whole of
                the patience.
            TargetRefused: another stream asks for the same session.
        """
        key = request.terms.key
        await self._begin(request, context, more)
        try:
            yield self._working[key]
        finally:
            self._end(key)

    async def _begin(self, request: Request, context: int, more: int) -> None:
        key, loop = request.terms.key, asyncio.get_running_loop()
        deadline = loop.time() + self._timeouts.patience
        waiter = _Waiter(request, context, more, loop.create_future())
        if (older := self._newest.get(key)) is not None:
            older.turn.cancel()  # which does nothing where it has its lease
        self._newest[key] = waiter
        try:
            await self._until_free(waiter, deadline)
            if not len(self._line) or not self._table.grows(key, needed(self._table, request, context)):
                with suppress(TargetBusy):
                    self._lease(request, context, 0 if len(self._line) else more)
                    return
            await self._wait(waiter, deadline)
        finally:
            if self._newest.get(key) is waiter:
                del self._newest[key]

    async def _until_free(self, waiter: _Waiter, deadline: float) -> None:
        """Let an older request of the session end, and wait for that."""
        if (older := self._working.get(waiter.request.terms.key)) is None:
            return
        older.take_over()
        await _first_of(deadline, waiter.turn, older.ended)
        _check_newest(waiter)
        if not older.ended.done():
            sentence = "an older request is at work on this session; try again in a moment"
            raise TargetBusy(sentence, self._timeouts.again)

    async def _wait(self, waiter: _Waiter, deadline: float) -> None:
        """Wait in the line for a lease."""
        loop, terms, turn = asyncio.get_running_loop(), waiter.request.terms, waiter.turn
        room = needed(self._table, waiter.request, waiter.context)
        place = self._line.join(terms.key, terms.tenant, room, waiter, loop.time())
        self._serve()
        # A place that was kept has waited before.
        self._ask_at(max(place.since + self._timeouts.fair, loop.time()), place, waiter, deadline)
        try:
            await _first_of(deadline, turn)
            _check_newest(waiter)
            if not turn.done():
                raise TargetBusy(_FULL, self._timeouts.again)
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._end(terms.key)  # it came in the very moment in which nobody waited any more
            raise
        finally:
            if place.waiter is waiter:
                self._keep(place)

    def _ask_at(self, when: float, place: Place[_Waiter], waiter: _Waiter, deadline: float) -> None:
        """Ask others for room then, and again and again until the deadline, where it waits until then."""
        if when < deadline:
            asyncio.get_running_loop().call_at(when, self._ask, when, place, waiter, deadline)

    def _ask(self, when: float, place: Place[_Waiter], waiter: _Waiter, deadline: float) -> None:
        if place.waiter is waiter:
            self._ask_for_room(place)
            self._ask_at(when + self._timeouts.fair, place, waiter, deadline)

    def _serve(self) -> None:
        """Give room to those in the line, as far as there is some."""
        while len(self._line):
            place, aside = self._line.next()
            if place is None or place.waiter is None:
                return
            waiter = place.waiter
            try:
                lease = self._lease(waiter.request, waiter.context, waiter.more if len(self._line) == 1 else 0, aside)
            except TargetBusy:
                if asyncio.get_running_loop().time() >= place.since + self._timeouts.fair:
                    # What is idle now may be at work whenever the rest is idle.
                    self._table.make_free(place.key, place.tokens)
                return
            waiter.turn.set_result(lease)

    def _lease(self, request: Request, context: int, more: int, aside: int = 0) -> Lease:
        key = request.terms.key
        session = begin(self._table, request, context, more, aside)
        lease = self._working[key] = Lease(session, self._timeouts)
        self._crowds.add(lease)
        if (place := self._line.at(key)) is not None:
            if needed(self._table, request, context):
                self._line.served(place)
            else:  # it was evicted meanwhile: its edge will hear so, and come again with all of the text
                self._keep(place)
        return lease

    def _end(self, key: bytes) -> None:
        lease = self._working.pop(key)
        self._crowds.remove(lease)
        self._table.put_back(key)
        self._serve()
        lease.ended.set_result(None)

    def _keep(self, place: Place[_Waiter]) -> None:
        """Keep a place for a while where nobody waits now."""
        self._line.leave(place)
        if place.is_over:
            self._give_up(place)
            return
        loop = asyncio.get_running_loop()
        place.until = loop.time() + self._timeouts.place
        loop.call_at(place.until, self._lapse, place, place.until)

    def _lapse(self, place: Place[_Waiter], until: float) -> None:
        if self._line.at(place.key) is place and place.waiter is None and place.until == until:
            self._give_up(place)

    def _give_up(self, place: Place[_Waiter]) -> None:
        self._line.give_up(place)
        self._serve()

    def _ask_for_room(self, place: Place[_Waiter]) -> None:
        """Let texts at work end, at their present step, for one that has waited for a while.

        For the first in the line, those whose clients read too slowly. For the first of a tenant that has nothing at
        work, the largest one of the tenant that uses most room. For all others nothing is done: they are many.
        """
        if self._line.first_of(place.tenant) is not place:
            return
        self._serve()
        first, aside = self._line.next()
        if first is place:
            self._ask_slow_readers(self._table.missing(place.key, place.tokens) + aside)
        if self._line.first_of(place.tenant) is place:
            self._ask_the_crowd(place.tenant)

    def _ask_slow_readers(self, missing: int) -> None:
        now = asyncio.get_running_loop().time()
        missing -= sum(lease.session.allocated for lease in self._working.values() if lease.unwanted)
        slow = [
            lease
            for lease in self._working.values()
            if not lease.unwanted and lease.behind(now) > self._timeouts.behind
        ]
        for lease in sorted(slow, key=lambda lease: lease.session.allocated, reverse=True):
            if missing > 0:
                lease.give_way("this text's answers are read too slowly while others wait")
                missing -= lease.session.allocated

    def _ask_the_crowd(self, tenant: str) -> None:
        if tenant not in self._crowds and (largest := self._crowds.largest()) is not None:
            largest.give_way("another tenant waits")

    def release(self, session_id: bytes) -> None:
        """Forget a session and its place; a request at work on it ends after its present step."""
        if session_id in self._working:
            self._working[session_id].end()
        self._table.release(session_id)
        if (place := self._line.at(session_id)) is not None:
            place.is_over = True
            if place.waiter is None:
                self._keep(place)


async def _first_of(deadline: float, *futures: asyncio.Future[Any]) -> None:
    """Wait until one of them is done, and until the deadline at the longest."""
    left = max(deadline - asyncio.get_running_loop().time(), 0.0)
    await asyncio.wait(futures, timeout=left, return_when=asyncio.FIRST_COMPLETED)


def _check_newest(waiter: _Waiter) -> None:
    """See that no other request of the session has come.

    Raises:
        TargetRefused: one has.
    """
    if waiter.turn.cancelled():
        raise TargetRefused(TAKEN_OVER)
