"""The feeds that wait: each with whoever waits for it, and who has to go where there are too many."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from cloud_target.engine.interface import Feed, Scores
from cloud_target.scheduling.chunks import ChunkedFeed
from cloud_target.scheduling.round_robin import RoundRobin
from shared.errors import TargetBusy


class Job:
    """One feed on its way.

    Args:
        as of `FeedScheduler.submit`.
        future: of whoever waits.

    Attributes:
        chunked: what is left of it.
        asked: when that was, seconds of `time.monotonic`.
        begun: when the device began with it; None before.
        forward_seconds: how long it has computed.
    """

    def __init__(
        self,
        feed: Feed,
        tenant: str,
        deadline: float | None,
        on_begin: Callable[[], None] | None,
        future: asyncio.Future[Scores],
    ) -> None:
        self.chunked = ChunkedFeed(feed)
        self.tenant, self.deadline, self.on_begin, self.future = tenant, deadline, on_begin, future
        self.asked = time.monotonic()
        self.begun: float | None = None
        self.forward_seconds = 0.0

    def scores(self) -> Scores:
        """Its scores, once all of it has been read, with the time that it waited and took."""
        begun = self.asked if self.begun is None else self.begun
        waited = int((begun - self.asked) * 1e6)
        return replace(self.chunked.scores(), queue_us=waited, forward_us=int(self.forward_seconds * 1e6))


def newest_of_the_crowd(queues: Sequence[RoundRobin[Job]], tenant: str) -> Job | None:
    """Of whoever has most feeds waiting, the newest that was not begun; None where that is the tenant who asks, or
    has no more than it would have then."""
    [(crowd, most)] = sum((queue.counts() for queue in queues), Counter[str]()).most_common(1)
    newest = [job for queue in queues if (job := queue.last(crowd)) and job.begun is None]
    own = sum(queue.counts()[tenant] for queue in queues)
    return max(newest, key=lambda job: job.asked) if newest and most > own + 1 else None


def full(most: int) -> TargetBusy:
    """What is heard where so many wait already."""
    return TargetBusy(f"{most} calls wait for the target already; try again in a moment")


def too_late() -> TargetBusy:
    """What is heard where the deadline has passed."""
    return TargetBusy("the target was too busy to begin before the call's deadline; try again in a moment")
