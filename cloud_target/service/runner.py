"""Where feeds meet the engine: one forward pass at a time, in a thread of its own.

The asyncio loop stays free to read requests meanwhile. Feeds of different sessions wait here side by side, so a batch
is formed in this file and nowhere else.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter_ns

from cloud_target.engine.interface import Engine, Feed, Scores


class Runner:
    """Runs feeds in the order in which they come."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    async def run(self, feed: Feed) -> Scores:
        """The scores of a feed, with the time that it waited and took.

        A caller that is cancelled while its feed runs leaves the pass to finish by itself; the next feed of that slot
        comes after it, so nothing is written twice at once.
        """
        asked = perf_counter_ns()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._forward, feed, asked)

    def _forward(self, feed: Feed, asked: int) -> Scores:
        begun = perf_counter_ns()
        [scores] = self._engine.forward([feed])
        ended = perf_counter_ns()
        return replace(scores, queue_us=(begun - asked) // 1000, forward_us=(ended - begun) // 1000)

    def close(self) -> None:
        """End the thread after the pass that it is in; feeds that wait are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)
