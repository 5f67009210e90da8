"""Who may work on which session now: one request at a time, and a newer one ends what an older one left unfinished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cloud_target.service.sessions import Session, SessionTable
from cloud_target.service.statuses import TargetBusy

# How long a request waits for a slot, seconds. Clearly shorter than edges wait for an answer, so that they learn why.
PATIENCE = 5.0


class Turn:
    """One request at work on a session.

    Attributes:
        session: taken from the table.
        unwanted: someone newer wants the session; finish no more than the present step.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.unwanted = False


class Turns:
    """Hands sessions out. Runs inside one event loop."""

    def __init__(self, table: SessionTable, patience: float = PATIENCE) -> None:
        self._table = table
        self._patience = patience
        self._working: dict[bytes, Turn] = {}
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def take(self, session_id: bytes) -> AsyncIterator[Turn]:
        """Wait for the session and for a slot, and have both until the end of the block.

        Raises:
            TargetBusy: all slots were in use for the whole of the patience.
        """
        turn = self._working[session_id] = await self._begin(session_id)
        try:
            yield turn
        finally:
            del self._working[session_id]
            self._table.put_back(session_id)
            self._ended.set()
            self._ended = asyncio.Event()

    async def _begin(self, session_id: bytes) -> Turn:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            older = self._working.get(session_id)
            try:
                if older is None:
                    return Turn(self._table.take(session_id))
                older.unwanted = True
            except TargetBusy:
                if loop.time() >= deadline:
                    raise
            try:
                await asyncio.wait_for(self._ended.wait(), deadline - loop.time() if older is None else None)
            except TimeoutError:
                continue

    def release(self, session_id: bytes) -> None:
        """Forget a session; a request at work on it ends after its present step."""
        if session_id in self._working:
            self._working[session_id].unwanted = True
        self._table.release(session_id)
