"""How long one thread of Python keeps others waiting.

A forward pass gives Python's lock away at each of its operations, and has to get it back; the event loop keeps it for
as long as there is something to do, up to the length of a turn. With turns of 5 ms, which is Python's own, a loop that
strangers keep busy makes a pass take many times as long as it would, for it has to wait that long at each operation.
Where nobody waits, short turns cost nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 0.0005


@contextmanager
def short_turns() -> Iterator[None]:
    """Keep turns short for as long as the block lasts, in all threads of the process."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
