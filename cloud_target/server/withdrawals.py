"""Calls that end whatever they do: of those who may not call any more, as a token was withdrawn or is over, and at a
server's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cloud_target.access.admission import Admission, Caller
from cloud_target.server.sweeping import keep_sweeping
from shared.errors import AccessDenied, TandemError, TargetUnavailable


@dataclass(eq=False)
class _Call:
    """One that was let in, what ends it, and why that was done."""

    caller: Caller
    limit: asyncio.Timeout
    error: TandemError | None = None


class Withdrawals:
    """Ends calls whose callers may not call any more. Runs inside one event loop.

    As long as the tokens stay as they are it looks at no call, so thousands that are open cost nothing.

    Args:
        admission: says who may call.
        seconds: between two looks.
    """

    def __init__(self, admission: Admission, seconds: float) -> None:
        self._admission, self._seconds = admission, seconds
        self._state = admission.state()
        self._calls: set[_Call] = set()

    @asynccontextmanager
    async def watch(self, caller: Caller) -> AsyncIterator[None]:
        """One call, for as long as the block lasts. The block is cancelled where its caller may not call any more, or
        the server ends: a message that is on its way by then comes whole, and is the last.

        Raises:
            AccessDenied, TargetUnavailable: that was so.
        """
        async with asyncio.timeout(None) as limit:
            call = _Call(caller, limit)
            self._calls.add(call)
            try:
                yield
            except asyncio.CancelledError:
                if call.error is not None:
                    raise call.error from None
                raise
            finally:
                self._calls.discard(call)

    def sweep(self) -> int:
        """End the calls of those who may not call any more; how many those were."""
        state = self._admission.state()
        if state == self._state:
            return 0
        over, failed = 0, None
        for call in tuple(self._calls):
            try:
                self._admission.welcome(call.caller)
            except AccessDenied as error:
                self._end(call, error)
                over += 1
            except Exception as error:  # of one call, and the others are looked at all the same
                failed = error
        if failed is not None:
            raise failed
        self._state = state  # only now, so that what has failed is tried again
        return over

    def end_all(self, why: str) -> None:
        """End every call.

        Args:
            why: a sentence for those who made them.
        """
        for call in tuple(self._calls):
            self._end(call, TargetUnavailable(why))

    def _end(self, call: _Call, error: TandemError) -> None:
        call.error = error
        self._calls.discard(call)
        call.limit.reschedule(asyncio.get_running_loop().time())

    async def keep_sweeping(self) -> None:
        """Sweep now and then for as long as nobody cancels it."""
        await keep_sweeping("those who may not call any more", self.sweep, self._seconds)
