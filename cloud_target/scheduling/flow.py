"""Where feeds meet an engine that batches for itself: they go in as there is room, and come out as they are done."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable

from cloud_target.engine.interface import Feed, FlowingEngine, Scores
from cloud_target.scheduling.interface import STOPPING
from cloud_target.scheduling.jobs import Job, full, newest_of_the_crowd, too_late
from cloud_target.scheduling.round_robin import RoundRobin
from cloud_target.scheduling.settings import SchedulerSettings
from cloud_target.telemetry.observer import NOBODY, Observer
from shared.errors import TargetError, TargetUnavailable

log = logging.getLogger(__name__)


class FlowScheduler:
    """A `FeedScheduler` for a `FlowingEngine`: tenants in turn, long feeds in chunks. Use inside one event loop.

    Args:
        engine: what runs them.
        observer: hears of queues, and of each feed as if it were a pass.
        settings: how many may wait, and after how many failures in a row the engine is lost.

    Attributes:
        dead: set once the engine is lost.
    """

    def __init__(
        self, engine: FlowingEngine, observer: Observer = NOBODY, settings: SchedulerSettings | None = None
    ) -> None:
        self._engine, self._observer = engine, observer
        self._settings = settings or SchedulerSettings()
        self._waiting: RoundRobin[Job] = RoundRobin()
        self._running = 0
        self._progress: object = object()
        self._failures, self.dead = 0, asyncio.Event()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(
        self,
        feed: Feed,
        tenant: str = "",
        deadline: float | None = None,
        on_begin: Callable[[], None] | None = None,
    ) -> asyncio.Future[Scores]:
        """Let a feed wait for the device (see `FeedScheduler`)."""
        if self._closed:
            raise TargetUnavailable(STOPPING)
        if len(self._waiting) >= self._settings.most_waiting and not self._make_room(tenant):
            raise full(self._settings.most_waiting)
        job = Job(feed, tenant, deadline, on_begin, asyncio.get_running_loop().create_future())
        job.future.add_done_callback(lambda future: self._give_up(job) if future.cancelled() else None)
        self._waiting.add(tenant, job)
        self._idle.clear()
        self._begin()
        return job.future

    def do(self, change: Callable[[], None], failed: Callable[[], None] = lambda: None) -> None:
        """Change the engine's cache; what was begun before does not see it."""
        try:
            change()
        except Exception as error:
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("a change of the cache failed with %s\n%s", type(error).__name__, frames.rstrip())
            failed()

    @property
    def under_way(self) -> object | None:
        """What changes with every answer; None where none is waited for. May be asked for in any thread."""
        return self._progress if self._running else None

    async def close(self) -> None:
        """End after what was begun, and wait for it; feeds that wait are refused before."""
        self._closed = True
        while len(self._waiting):
            future = self._waiting.take().future
            if not future.done():
                future.set_exception(TargetUnavailable(STOPPING))
        self._rest()
        await self._idle.wait()

    def check_integrity(self) -> None:
        """Raise AssertionError if the queue contradicts itself or holds what nobody waits for."""
        self._waiting.check_integrity()
        if self._idle.is_set() and (self._running or len(self._waiting)):
            raise AssertionError("idle with work to do")

    def _make_room(self, tenant: str) -> bool:
        job = newest_of_the_crowd((self._waiting,), tenant)
        if job is None:
            return False
        self._waiting.discard(job.tenant, job)
        if not job.future.done():
            job.future.set_exception(full(self._settings.most_waiting))
        return True

    def _give_up(self, job: Job) -> None:
        if self._waiting.discard(job.tenant, job):
            self._rest()

    def _begin(self) -> None:
        """Begin with those whose turn it is, as far as the engine has room."""
        while self._running < self._engine.most_at_once and len(self._waiting):
            job, now = self._waiting.take(), time.monotonic()
            if job.future.done():
                continue
            if job.begun is None:
                if job.deadline is not None and job.deadline <= now:
                    job.future.set_exception(too_late())
                    continue
                job.begun = now
                self._observer.waited(now - job.asked)
                if job.on_begin is not None:
                    job.on_begin()
            self._start(job, now)
        self._rest()

    def _start(self, job: Job, now: float) -> None:
        chunk, loop = job.chunked.next(self._engine.chunk), asyncio.get_running_loop()

        def done(result: Scores | Exception) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._end, job, chunk, now, result)

        self._running += 1
        self._observer.passing()
        try:
            self._engine.start(chunk, job.tenant, done)
        except Exception as error:
            loop.call_soon(self._end, job, chunk, now, error)

    def _end(self, job: Job, chunk: Feed, begun: float, result: Scores | Exception) -> None:
        """Give out what the engine has said of a feed, or of a chunk of one."""
        self._running -= 1
        self._progress = object()
        seconds = time.monotonic() - begun
        self._see_whether_dead(result)
        self._observer.passed(1, len(chunk.tokens), seconds)
        job.forward_seconds += seconds
        if not job.future.done():
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.chunked.add(chunk, result)
                if chunk.read is not None:
                    chunk.read(chunk.start + chunk.needed)
                if job.chunked.done:
                    job.future.set_result(job.scores())
                elif self._closed:
                    job.future.set_exception(TargetUnavailable(STOPPING))
                else:
                    self._waiting.add_first(job.tenant, job)
        self._begin()

    def _see_whether_dead(self, result: Scores | Exception) -> None:
        # These say that a feed was wrong or too much, not that the engine is lost: one text must not end all others.
        lost = isinstance(result, Exception) and not isinstance(result, (ValueError, TargetError))
        self._failures = self._failures + 1 if lost else 0
        if self._failures == self._settings.dead_after:
            log.error("the engine fails at every feed")
            self.dead.set()

    def _rest(self) -> None:
        self._observer.queued(len(self._waiting))
        if not self._running and not len(self._waiting):
            self._idle.set()
