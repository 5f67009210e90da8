"""What the service needs of whatever runs its feeds: the seam for an engine that brings a scheduler of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from cloud_target.engine.interface import Feed, Scores

# What everybody hears whom the server's end leaves without an answer.
STOPPING = "the target is shutting down; connect again"


class FeedScheduler(Protocol):
    """Runs feeds of many sessions. Used inside one event loop.

    Attributes:
        dead: set once it is clear that no later feed would be answered either.
        under_way: of the pass that runs now, anything that no other pass has; None between passes.
    """

    dead: asyncio.Event

    @property
    def under_way(self) -> object | None: ...

    def submit(
        self,
        feed: Feed,
        tenant: str = "",
        deadline: float | None = None,
        on_begin: Callable[[], None] | None = None,
    ) -> asyncio.Future[Scores]:
        """Let a feed wait for the device; its scores will be the future's result.

        A caller that gives up (cancels the future, or a task that waits for it) leaves what has begun to finish by
        itself, so nothing is written twice at once. What was read before is kept.

        Args:
            feed: see `Feed`; of one slot at most one may wait. Its guesses are read as far as the pass has room.
            tenant: who asks; tenants take turns.
            deadline: if the feed has not begun by then, it is dropped; seconds of `time.monotonic`, which is the clock
                of asyncio's event loops too.
            on_begin: called when the device begins with it, which cannot be undone.

        Raises:
            TargetBusy: too many feeds wait, of this tenant at least as many as of any other; as the future's
                exception, the deadline has passed, or the room was another tenant's share.
            TargetUnavailable: it is closed.
        """
        ...

    def do(self, change: Callable[[], None], failed: Callable[[], None] = ...) -> None:
        """Change the engine's cache in order with the feeds: after what runs now, and before what was not begun.

        Args:
            failed: called in the event loop if the change raises; that takes no other change with it.
        """
        ...

    async def close(self) -> None:
        """End after what runs now, and wait for it, however long that is; feeds that wait are refused before."""
        ...
