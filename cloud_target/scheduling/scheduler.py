"""Where feeds meet the engine: one forward pass at a time, with all that waits when the device becomes free.

The asyncio loop stays free to read requests meanwhile. Feeds of different sessions, judgements and continuations alike,
share a pass; long ones are read in chunks beside them, so that a short call never waits for more than about one chunk.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cloud_target.engine.interface import Engine, Feed, Scores
from cloud_target.scheduling.interface import STOPPING
from cloud_target.scheduling.jobs import Job, full, newest_of_the_crowd, too_late
from cloud_target.scheduling.round_robin import RoundRobin
from cloud_target.scheduling.settings import WINDOW, SchedulerSettings
from cloud_target.scheduling.shares import share_out
from cloud_target.telemetry.observer import NOBODY, Observer
from shared.errors import TargetBusy, TargetError, TargetUnavailable

log = logging.getLogger(__name__)


class Scheduler:
    """A `FeedScheduler`: runs feeds, many in one pass, tenants in turn. Use inside one event loop.

    Args:
        engine: what runs them.
        observer: hears of queues and passes.
        settings: how the device is shared.

    Attributes:
        dead: set once several passes in a row have failed for all that were in them.
    """

    def __init__(self, engine: Engine, observer: Observer = NOBODY, settings: SchedulerSettings | None = None) -> None:
        self._engine, self._observer = engine, observer
        self._settings = settings or SchedulerSettings()
        self._chunk = self._settings.chunk or engine.chunk
        self._whole = self._settings.chunk or WINDOW
        self._short: RoundRobin[Job] = RoundRobin()
        self._long: RoundRobin[Job] = RoundRobin()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._batch: list[tuple[Job, Feed]] = []
        self._changes: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._failures, self.dead = 0, asyncio.Event()
        self._due = self._closed = self._read_chunk = False
        self._short_at = -math.inf
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, feed: Feed, tenant: str = "", deadline: float | None = None) -> Scores:
        """The scores of a feed, with the time that it waited and took. See `submit`."""
        return await self.submit(feed, tenant, deadline)

    def submit(
        self,
        feed: Feed,
        tenant: str = "",
        deadline: float | None = None,
        on_begin: Callable[[], None] | None = None,
    ) -> asyncio.Future[Scores]:
        """Let a feed wait for the device (see `FeedScheduler`).

        Passes come one after the other, so a caller that gives up leaves the pass to finish by itself; chunks that
        were read before are kept.
        """
        if self._closed:
            raise TargetUnavailable(STOPPING)
        if len(self._short) + len(self._long) >= self._settings.most_waiting and not self._make_room(tenant):
            raise self._full()
        loop = asyncio.get_running_loop()
        job = Job(feed, tenant, deadline, on_begin, loop.create_future())
        job.future.add_done_callback(lambda future: self._give_up(job) if future.cancelled() else None)
        self._queue(job).add(tenant, job)
        self._idle.clear()
        self._observe_queue()
        self._call_soon(loop)
        return job.future

    def do(self, change: Callable[[], None], failed: Callable[[], None] = lambda: None) -> None:
        """Change the engine's cache: after the pass that runs now and before the next one, in the engine's thread."""
        self._changes.append((change, failed))
        self._call_soon(asyncio.get_running_loop())

    def _make_room(self, tenant: str) -> bool:
        """Refuse the newest feed of whoever has most of them waiting, if that is more than the tenant's own share."""
        job = newest_of_the_crowd((self._short, self._long), tenant)
        if job is None:
            return False
        self._queue(job).discard(job.tenant, job)
        if not job.future.done():
            job.future.set_exception(self._full())
        return True

    def _full(self) -> TargetBusy:
        return full(self._settings.most_waiting)

    def _queue(self, job: Job) -> RoundRobin[Job]:
        is_long = job.chunked.left > self._chunk and job.chunked.feed.needed > self._whole
        return self._long if is_long else self._short

    def _give_up(self, job: Job) -> None:
        if any(queue.discard(job.tenant, job) for queue in (self._short, self._long)):
            self._observe_queue()
            self._rest()

    def _call_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a pass after whatever else happens in this turn of the event loop, which may bring more feeds."""
        if not self._due and not self._batch:
            self._due = True
            loop.call_soon(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = False
        if self._closed:
            return
        self._batch = self._take()
        self._observe_queue()
        changes, self._changes = self._changes, []
        if not self._batch:
            if changes:
                self._thread.submit(self._change, changes, loop)
            self._rest()
            return
        feeds = [feed for _, feed in self._batch]
        self._observer.passing()
        loop.run_in_executor(self._thread, self._pass, feeds, changes, loop).add_done_callback(self._end)

    def _take(self) -> list[tuple[Job, Feed]]:
        """What the next pass reads: short feeds as they take turns, and chunks of long ones.

        Where short feeds wait, every other pass is theirs alone: one that comes in the middle of a chunk then waits for
        the rest of that chunk and not for another one.
        """
        batch: list[tuple[Job, Feed]] = []
        long = 0
        now, had_chunk, self._read_chunk = time.monotonic(), self._read_chunk, False
        # Where short feeds come and go, the next one may be here any moment.
        chunk = self._chunk if now - self._short_at > self._settings.calm else max(self._chunk // 2, 2)
        for queue, room in ((self._short, self._settings.pass_tokens), (self._long, chunk)):
            if queue is self._long and batch and had_chunk:
                break
            least = 0 if queue is self._short else chunk // 2  # no crumbs of long feeds
            while room > least and (job := queue.peek()) is not None:
                if queue is self._short and job.chunked.left > room:
                    break
                queue.take()
                if job.future.done():
                    continue
                if job.begun is None and job.deadline is not None and job.deadline <= now:
                    job.future.set_exception(too_late())
                    continue
                if job.begun is None:
                    job.begun = now
                    self._observer.waited(now - job.asked)
                    if job.on_begin is not None:
                        job.on_begin()
                batch.append((job, job.chunked.next(room)))
                room -= batch[-1][1].needed
                self._read_chunk = queue is self._long
                if queue is self._short:
                    self._short_at = now
                else:
                    long += batch[-1][1].needed
        # Guesses delay a short feed that comes meanwhile no more than prompts do: together they are one chunk at most.
        feeds = share_out([feed for _, feed in batch], self._chunk - long)
        return [(job, feed) for (job, _), feed in zip(batch, feeds, strict=True)]

    def _pass(
        self, feeds: Sequence[Feed], changes: Sequence[tuple], loop: asyncio.AbstractEventLoop
    ) -> tuple[list[Scores | Exception], float]:
        """Change what is to be changed and run one pass, in the engine's thread; returns how long both took, too."""
        begun = time.monotonic()
        self._change(changes, loop)
        return self._forward(feeds), time.monotonic() - begun

    def _change(self, changes: Sequence[tuple], loop: asyncio.AbstractEventLoop | None) -> None:
        for change, failed in changes:
            try:
                change()
            except Exception as error:
                frames = "".join(traceback.format_tb(error.__traceback__))
                log.error("a change of the cache failed with %s\n%s", type(error).__name__, frames.rstrip())
                if loop is not None:
                    with suppress(RuntimeError):  # the loop is closed, and with it the table
                        loop.call_soon_threadsafe(failed)

    def _forward(self, feeds: Sequence[Feed]) -> list[Scores | Exception]:
        """Scores in the engine's thread; a feed that fails does not take the others with it."""
        try:
            return list(self._engine.forward(feeds))
        except Exception as error:
            return [error] if len(feeds) == 1 else [self._forward([feed])[0] for feed in feeds]

    def _see_whether_dead(self, results: Sequence[Scores | Exception]) -> None:
        # These say that a feed was wrong or too much, not that the device is lost: one text must not end all others.
        lost = all(isinstance(one, Exception) and not isinstance(one, (ValueError, TargetError)) for one in results)
        self._failures = self._failures + 1 if lost else 0
        if self._failures == self._settings.dead_after:
            log.error("the engine fails at every pass")
            self.dead.set()

    def _end(self, done: asyncio.Future[tuple[list[Scores | Exception], float]]) -> None:
        """Give out what a pass has brought, and begin the next."""
        batch, self._batch = self._batch, []
        if done.cancelled():
            return
        results, seconds = done.result()
        self._see_whether_dead(results)
        self._observer.passed(len(batch), sum(len(chunk.tokens) for _, chunk in batch), seconds)
        for (job, chunk), result in zip(batch, results, strict=True):
            job.forward_seconds += seconds
            if job.future.done():
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
                continue
            job.chunked.add(chunk, result)
            if chunk.read is not None:
                chunk.read(chunk.start + chunk.needed)
            if job.chunked.done:
                job.future.set_result(job.scores())
            else:
                self._queue(job).add_first(job.tenant, job)
        if self._closed:
            self._refuse_all()
        else:
            # After those who wait for these results have gone on, so that what they ask next is in the next pass.
            self._call_soon(done.get_loop())
        self._rest()

    def _rest(self) -> None:
        if not self._batch and not len(self._short) + len(self._long):
            self._idle.set()

    def _observe_queue(self) -> None:
        self._observer.queued(len(self._short) + len(self._long))

    async def drained(self) -> None:
        """Wait until no feed waits and no pass runs."""
        await self._idle.wait()

    @property
    def under_way(self) -> object | None:
        """The pass that runs now, None between passes. May be asked for in any thread."""
        return self._batch or None

    async def close(self) -> None:
        """End after the pass that runs now, and wait for it; feeds that wait are refused before."""
        self._closed = True
        self._refuse_all()
        last = self._thread.submit(self._change, self._changes, None)
        self._changes = []
        self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(last))

    def _refuse_all(self) -> None:
        for queue in (self._short, self._long):
            while len(queue):
                future = queue.take().future
                if not future.done():
                    future.set_exception(TargetUnavailable(STOPPING))
        self._rest()

    def check_integrity(self) -> None:
        """Raise AssertionError if the queues contradict themselves or hold what nobody waits for."""
        for queue in (self._short, self._long):
            queue.check_integrity()
        if self._idle.is_set() and (self._batch or len(self._short) + len(self._long)):
            raise AssertionError("idle with work to do")
