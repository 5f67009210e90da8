"""Session leases: who may work on which session now.

One request at a time works on a session, and a newer one ends what an older one left unfinished.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from cloud_target.protocol.begin import begin, needed
from cloud_target.protocol.requests import Request
from cloud_target.scheduling.round_robin import RoundRobin
from cloud_target.server.timeouts import Timeouts
from cloud_target.sessions.session import Session
from cloud_target.sessions.table import SessionTable
from shared.errors import TargetBusy, TargetRefused, TargetUnavailable


class Lease:
    """One request's hold on a session while it is at work.

    Attributes:
        session: taken from the table.
        unwanted: someone newer wants the session, or another tenant its room; finish no more than the present step.
    """

    def __init__(self, session: Session, timeouts: Timeouts) -> None:
        self.session = session
        self._timeouts = timeouts
        self.unwanted = self._gives_way = self._is_taken_over = False
        self._limit: asyncio.Timeout | None = None

    async def write(self, sending: Awaitable[None]) -> None:
        """Wait until an answer is on its way.

        Raises:
            TargetUnavailable: the client reads nothing; the call must end, as the answer may be lost.
        """
        limit = self._timeouts.unread_unwanted if self.unwanted else self._timeouts.unread
        try:
            async with asyncio.timeout(limit) as self._limit:
                await sending
        except TimeoutError:
            raise TargetUnavailable("the answers were not read in time; connect again") from None
        finally:
            self._limit = None

    def check(self) -> None:
        """See that the answer may go on.

        Raises:
            TargetBusy: another tenant needs the room.
            TargetRefused: another stream has the session now.
        """
        if self._is_taken_over:
            raise TargetRefused(
                "another stream goes on with this text now; go on with that one, or begin a session anew"
            )
        if self._gives_way:
            raise TargetBusy(
                "another tenant waits for room in the target's memory; try again in a moment", self._timeouts.fair
            )

    def give_way(self) -> None:
        """Another tenant waits for the room."""
        self.unwanted = self._gives_way = True

    def take_over(self) -> None:
        """Another stream wants the session."""
        self._is_taken_over = True
        self.end()

    def end(self) -> None:
        """The session is not wanted any more, or by someone newer; a write that hangs ends soon."""
        self.unwanted = True
        limit = self._limit
        if limit is not None and not limit.expired() and (when := limit.when()) is not None:
            soon = asyncio.get_running_loop().time() + self._timeouts.unread_unwanted
            limit.reschedule(min(when, soon))


class Leases:
    """Leases sessions to requests. Runs inside one event loop.

    Args:
        timeouts: how long it waits for what.
    """

    def __init__(self, table: SessionTable, timeouts: Timeouts | None = None) -> None:
        self._table = table
        self._timeouts = timeouts or Timeouts()
        self._working: dict[bytes, Lease] = {}
        self._waiting: RoundRobin[object] = RoundRobin()  # for room; the first of them gets it first
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def take(self, request: Request, context: int, more: int = 0) -> AsyncIterator[Lease]:
        """Wait for the session and for all the room that its answer may need, and have both until the block ends.

        A request that waits holds nothing, so two never wait for each other. Those that wait for room get it in the
        order in which they came, tenants in turn; whoever needs no more than its session has goes past them. A tenant
        that gets none for a while makes the one that uses most of it stop writing a text; its edge takes that up again.

        Args:
            context: longest text in tokens.
            more: tokens that it had better have room for, too, where there is some.

        Raises:
            TargetBusy: texts at work left too little room, or the session's older request went on, for the whole of
                the patience.
        """
        key = request.terms.key
        lease = self._working[key] = await self._begin(request, context, more)
        try:
            yield lease
        finally:
            del self._working[key]
            self._table.put_back(key)
            self._wake()

    async def _begin(self, request: Request, context: int, more: int) -> Lease:
        key, tenant, ticket = request.terms.key, request.terms.tenant, object()
        now, queued = asyncio.get_running_loop().time(), False
        deadline, fair = now + self._timeouts.patience, now + self._timeouts.fair
        try:
            while True:
                older = self._working.get(key)
                if older is not None:
                    older.take_over()
                    busy = TargetBusy("an older request is at work on this session; try again in a moment")
                elif self._waiting.peek() in (None, ticket) or not self._grows(request, context):
                    try:
                        return Lease(begin(self._table, request, context, more), self._timeouts)
                    except TargetBusy as error:
                        busy = error
                else:
                    busy = TargetBusy("others wait for room in the target's memory; try again in a moment")
                if older is None and not queued:
                    self._waiting.add(tenant, ticket)
                    queued = True
                until = min(deadline, fair)
                if not await self._change(until):
                    if until == deadline:
                        raise busy
                    self._ask_for_room(tenant)
                    fair += self._timeouts.fair
        finally:
            if queued:
                self._leave(tenant, ticket)

    def _ask_for_room(self, tenant: str) -> None:
        """Let the largest text end, at its present step, of the tenant that uses most room, for one that uses none."""
        rooms: Counter[str] = Counter()
        for lease in self._working.values():
            rooms[lease.session.tenant] += lease.session.allocated
        if not rooms or tenant in rooms:
            return
        crowd = rooms.most_common(1)[0][0]
        theirs = [lease for lease in self._working.values() if lease.session.tenant == crowd]
        max(theirs, key=lambda lease: lease.session.allocated).give_way()

    def _grows(self, request: Request, context: int) -> bool:
        return self._table.grows(request.terms.key, needed(self._table, request, context))

    def _leave(self, tenant: str, ticket: object) -> None:
        if self._waiting.peek() is ticket:
            self._waiting.take()  # so that it is the next tenant's turn
        else:
            self._waiting.discard(tenant, ticket)
        self._wake()

    async def _change(self, deadline: float) -> bool:
        """Wait until something ends or is given back; whether that was before the deadline."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def release(self, session_id: bytes) -> None:
        """Forget a session; a request at work on it ends after its present step."""
        if session_id in self._working:
            self._working[session_id].end()
        self._table.release(session_id)
