"""One request's hold on a session while it is at work: how long a reader may take, and how it ends for others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from cloud_target.server.timeouts import Timeouts
from cloud_target.sessions.session import Session
from shared.errors import TargetBusy, TargetRefused, TargetUnavailable

TAKEN_OVER = "another stream goes on with this text now; go on with that one, or begin a session anew"


class Lease:
    """One request's hold on a session while it is at work, in the running event loop.

    Attributes:
        session: taken from the table.
        unwanted: someone newer wants the session, or others its room; finish no more than the present step.
        ended: done when it has been given back.
    """

    def __init__(self, session: Session, timeouts: Timeouts) -> None:
        self.session = session
        self._timeouts = timeouts
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unwanted = self._is_taken_over = False
        self._room_for: str | None = None
        self._limit: asyncio.Timeout | None = None
        self._behind = self._begun = 0.0

    async def write(self, sending: Awaitable[None]) -> None:
        """Wait until an answer is on its way.

        Raises:
            TargetUnavailable: the client reads nothing; the call must end, as the answer may be lost.
            TargetBusy: it reads, but too slowly while others wait for room; the call must end as well.
        """
        loop = asyncio.get_running_loop()
        self._begun = loop.time()
        limit = self._timeouts.unread_unwanted if self.unwanted else self._timeouts.unread
        try:
            async with asyncio.timeout_at(self._begun + limit) as self._limit:
                await sending
        except TimeoutError:
            self._check_room()
            raise TargetUnavailable("the answers were not read in time; connect again") from None
        finally:
            self._behind, self._limit = self.behind(loop.time()), None

    def behind(self, now: float) -> float:
        """How far the client has fallen behind the pace at which it must read where others wait, seconds."""
        if self._limit is None:
            return self._behind
        return max(self._behind + now - self._begun - self._timeouts.pace, 0.0)

    def check(self) -> None:
        """See that the answer may go on.

        Raises:
            TargetBusy: others need the room.
            TargetRefused: another stream has the session now.
        """
        self.check_session()
        self._check_room()

    def check_session(self) -> None:
        """See that this stream still has the session.

        Raises:
            TargetRefused: another one has it now.
        """
        if self._is_taken_over:
            raise TargetRefused(TAKEN_OVER)

    def _check_room(self) -> None:
        if self._room_for is not None:
            sentence = f"{self._room_for} for room in the target's memory; try again in a moment"
            raise TargetBusy(sentence, self._timeouts.fair)

    def give_way(self, room_for: str) -> None:
        """Others need the room, for which this is the beginning of the sentence. What is on its way may still be read,
        so that a text gets on with every turn that it has."""
        self.unwanted, self._room_for = True, room_for

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
