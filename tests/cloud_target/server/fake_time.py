"""An event loop whose time passes at once: where everybody waits, it is as late as the first of them waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from selectors import SelectorKey, SelectSelector
from typing import Any, TypeVar

T = TypeVar("T")
# Turns of the loop in a second; of those that are meant there are some hundreds.
TURNS = 20_000


class _Skipping(SelectSelector):
    """Waits for nobody, but says for how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns, self._end = 0, self.now + 1.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        assert timeout is not None, "everybody waits for somebody else"
        self.now += max(timeout, 0.0)
        self._turns += 1
        if self.now >= self._end:
            self._turns, self._end = 0, self.now + 1.0
        assert self._turns < TURNS, "time stands still"
        return super().select(0)


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """Begins at 0 seconds. What runs in an executor runs at once, and takes `work` seconds.

    It fails where nobody waits for time to pass, so that nothing could happen any more, or where too much does.
    """

    def __init__(self, work: float) -> None:
        self._skipping, self._work = _Skipping(), work
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        done, result = self.create_future(), func(*args)
        self.call_later(self._work, done.set_result, result)
        return done


class AtOnce(Executor):
    """Runs what it is given before it says that it has it."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def run_in_fake_time(test: Coroutine[Any, Any, T], work: float) -> T:
    """What a test gives that takes as long as it takes; work in executors takes `work` seconds."""
    with asyncio.Runner(loop_factory=lambda: FakeTimeLoop(work)) as runner:
        return runner.run(test)
