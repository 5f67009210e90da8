"""Out of service and back by signals: a server that takes nothing new, ends what is under way, and stays.

So a node can be emptied before it is looked after, and filled again, without a model being loaded anew.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Each does the same however often it comes.
OUT, BACK = signal.SIGUSR1, signal.SIGUSR2


@contextmanager
def not_yet() -> Iterator[None]:
    """Let both signals do nothing for as long as the block lasts and nobody hears them: by themselves they would end a
    process that is still loading. SIGTERM ends it then, also where it is a container's first process, which the system
    does not end so by itself."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (OUT, BACK)}
    if os.getpid() == 1:
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: object) -> None:
    os._exit(128 + number)
