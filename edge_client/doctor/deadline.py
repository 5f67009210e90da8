"""A limit on what a check may take, whatever the network does: nobody waits for longer than that."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """Seconds for many things together.

    Args:
        seconds: for all of them.
        clock: seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._end: float | None = None

    @property
    def left(self) -> float:
        """Seconds, from when somebody first asks."""
        if self._end is None:
            self._end = self._clock() + self.seconds
        return max(self._end - self._clock(), 0.0)

    def within(self, seconds: float, work: Callable[[float], T]) -> T:
        """What `work` gives, given the seconds that it may take.

        It runs in a thread of its own, for some things, such as the resolution of names, cannot be told to end; what
        has not ended in time goes on unseen.

        Raises:
            TimeoutError: that was not enough.
        """
        allowed = min(seconds, self.left)
        answers: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()

        def run() -> None:
            try:
                answers.put((work(allowed), None))
            except BaseException as error:
                answers.put((None, error))

        if allowed > 0:
            Thread(target=run, name="tandem-doctor", daemon=True).start()
        try:
            value, error = answers.get(timeout=allowed or None) if allowed > 0 else answers.get_nowait()
        except Empty:
            raise TimeoutError(f"no end within {allowed:.0f} s") from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # where there is no error there is a value
