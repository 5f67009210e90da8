"""What is looked at now and then: no error ends the looking."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


async def keep_sweeping(what: str, sweep: Callable[[], object], seconds: float) -> None:
    """Sweep for as long as nobody cancels it. A sweep that fails is told once, and tried again until it does not.

    Args:
        what: is swept, for the log.
        seconds: before each sweep.
    """
    fails = False
    while True:
        await asyncio.sleep(seconds)
        try:
            sweep()
        except Exception:
            if not fails:
                log.exception("the look at %s fails, and is tried again every %g seconds", what, seconds)
            fails = True
        else:
            fails = False
