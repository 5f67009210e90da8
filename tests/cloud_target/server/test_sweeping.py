"""Sweeps go on whatever they meet, and tell of it once."""

from __future__ import annotations

import asyncio
import logging

from cloud_target.server.sweeping import keep_sweeping


def test_a_sweep_that_fails_is_told_once_and_tried_again(caplog):
    fails = [False, True, True, True, False, True, False]
    over = asyncio.Event()

    def sweep() -> None:
        if not fails:
            over.set()
        elif fails.pop(0):
            raise ZeroDivisionError("for a test")

    async def main() -> None:
        sweeping = asyncio.create_task(keep_sweeping("what is swept", sweep, 0.001))
        await asyncio.wait_for(over.wait(), 20.0)
        sweeping.cancel()

    with caplog.at_level(logging.ERROR, "cloud_target"):
        asyncio.run(main())
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 2  # once for each time it began
    assert "the look at what is swept fails" in caplog.text
