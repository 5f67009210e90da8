"""The answers of one call: each is read in time, or the call ends, for those that nobody reads take memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
from google.protobuf.message import Message

from cloud_target.server.once import Once
from shared.errors import TargetUnavailable


class Answers:
    """What is sent to whoever made a call.

    The head of the response goes ahead of the first answer. Left to itself the library sends both in one, and while
    that waits to be read no error could be told: the call would stay, and its client would never hear why.
    """

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self._context = context
        self._has_begun = False

    def time_remaining(self) -> float | None:
        """Seconds that its caller still waits for them; None for ever."""
        return self._context.time_remaining()

    async def write(self, answer: Message) -> None:
        """Wait until an answer is on its way, however long its reader takes."""
        if not self._has_begun:
            self._has_begun = True
            await self._context.send_initial_metadata(())
        await self._context.write(answer)

    async def tell(self, answer: Message, seconds: float) -> None:
        """Wait until an answer is on its way.

        Args:
            seconds: that its reader may take.

        Raises:
            TargetUnavailable: it took longer.
        """
        await _in_time(self.write(answer), seconds)


async def tell_only(context: grpc.aio.ServicerContext, answer: Message, seconds: float) -> None:
    """Wait until the only answer of a call is on its way.

    Args:
        seconds: that its reader may take.

    Raises:
        TargetUnavailable: it took longer.
    """
    await _in_time(context.tell_only(answer) if isinstance(context, Once) else Answers(context).write(answer), seconds)


async def _in_time(told: Coroutine[Any, Any, None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await told
    except TimeoutError:
        raise TargetUnavailable("the answers were not read in time; connect again") from None
