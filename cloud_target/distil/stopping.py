"""Ctrl-C in the middle of a training run: the step under way is finished, its state is kept, and then the run ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class Stopped(KeyboardInterrupt):
    """Somebody wants the run to end, and nothing is half done."""


class Stopping:
    """For the length of a `with` block, SIGINT and SIGTERM are only noted; a second one ends the program at once.

    Args:
        tell: is told, when the first comes.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Stopped: a signal came.
        """
        if self._asked:
            raise Stopped

    def _note(self, _: int, __: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._tell("\nending after this step; once more to end at once, without what was learned since the last save")
