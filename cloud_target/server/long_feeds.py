"""Waiting for a long text to be read: its edge is told how far that is, and a stream that was left reads no further."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cloud_target.engine.interface import Scores
from cloud_target.server.lease import Lease
from shared.wire.codec import MOST_READING


async def read(
    scores: asyncio.Future[Scores],
    lease: Lease,
    every: float,
    tell: Callable[[], Awaitable[None]],
) -> Scores:
    """The scores of a feed that takes many passes; whoever gives up leaves what was read to the next try.

    Args:
        every: seconds between two words to the edge; 0 for one that does not know them.
        tell: sends one.

    Raises:
        TargetRefused: another stream has the session now, which waits for this to end.
        TargetUnavailable: the client reads nothing.
    """
    try:
        while not (await asyncio.wait((scores,), timeout=every or MOST_READING))[0]:
            lease.check_session()
            if every:
                await lease.write(tell())
        return scores.result()
    finally:
        scores.cancel()
