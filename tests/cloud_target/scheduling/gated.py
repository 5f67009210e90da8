"""An engine that runs passes one by one as a test lets it, and a scheduler on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.scheduling.scheduler import Scheduler
from cloud_target.scheduling.settings import SchedulerSettings
from cloud_target.telemetry.observer import NOBODY, Observer
from shared.config import Sampling

VOCABULARY, CONTEXT = 6, 200
SCRIPT = random_script(VOCABULARY)


class Gated(ScriptedEngine):
    """Begins a pass only when it may, and remembers what was in each.

    Attributes:
        batches: of each pass, (slot, tokens) of its feeds.
        broken: the slot whose feeds fail.
    """

    def __init__(self, open_gate: bool = False) -> None:
        super().__init__(SCRIPT, VOCABULARY, 64, CONTEXT)
        self.batches: list[list[tuple[int, int]]] = []
        self.gate, self.begun = threading.Semaphore(10**6 if open_gate else 0), threading.Event()
        self.broken: int | None = None

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        self.begun.set()
        assert self.gate.acquire(timeout=20)
        self.batches.append([(feed.slot, len(feed.tokens)) for feed in feeds])
        if self.broken in [feed.slot for feed in feeds]:
            raise RuntimeError("device lost")
        return super().forward(feeds)


def a_feed(slot: int, tokens: int = 1, start: int = 0) -> Feed:
    return Feed(slot, start, tuple(i % VOCABULARY for i in range(tokens)), tokens - 1, Sampling(seed=slot))


def run(test: Callable) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def occupied(engine: Gated, observer: Observer = NOBODY, **settings) -> Scheduler:
    """A scheduler whose engine is in a pass, with a feed of slot 63."""
    scheduler = Scheduler(engine, observer, SchedulerSettings(**settings))
    engine.first = asyncio.ensure_future(scheduler.run(a_feed(63)))
    await until(engine.begun.is_set)
    return scheduler
