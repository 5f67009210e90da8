"""Threads that work out what grammars allow. Tenants use them by turns: a grammar may be a stranger's, and slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from cloud_target.scheduling.round_robin import RoundRobin

# They mostly run outside of Python.
_THREADS = 2
Work = Callable[[], None]


@dataclass(frozen=True, eq=False, slots=True)
class _Piece:
    """Work that waits for a thread, and what its caller waits for."""

    tenant: str
    work: Work
    done: asyncio.Future[None]


class Masking:
    """Runs pieces of work in threads, in order of arrival within a tenant, and one after the other between tenants.

    Where all threads are busy, a tenant's first piece begins behind those under way and at most one of each other
    tenant. Runs inside one event loop.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="grammar")
        self._free = _THREADS
        self._waiting: RoundRobin[_Piece] = RoundRobin()

    async def submit(self, tenant: str, work: Work) -> None:
        """Have work done in its turn, and wait for it. If the caller leaves before that, it is not begun.

        Raises:
            Exception: what the work raised.
        """
        piece = _Piece(tenant, work, asyncio.get_running_loop().create_future())
        self._waiting.add(tenant, piece)
        self._begin()
        try:
            await piece.done
        finally:
            self._waiting.discard(tenant, piece)  # it still waits if its caller left

    def close(self) -> None:
        """Begin nothing any more; what runs now ends by itself, and whoever else waits is cancelled."""
        while len(self._waiting):
            self._waiting.take().done.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Give the free threads to those whose turn it is."""
        while self._free and (piece := self._waiting.peek()) is not None:
            if piece.done.cancelled():  # and its caller has not come to that yet; its tenant keeps its turn
                self._waiting.discard(piece.tenant, piece)
                continue
            self._waiting.take()
            running = asyncio.get_running_loop().run_in_executor(self._threads, piece.work)
            self._free -= 1
            running.add_done_callback(partial(self._ended, piece.done))

    def _ended(self, done: asyncio.Future[None], ended: asyncio.Future[None]) -> None:
        """A thread is free: tell who waited for it, and go on."""
        self._free += 1
        if ended.cancelled():
            done.cancel()
        elif (error := ended.exception()) is not None and not done.done():
            done.set_exception(error)
        elif not done.done():
            done.set_result(None)
        self._begin()
