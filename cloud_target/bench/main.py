"""From the settings of a load test to its report."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# The library prints its own account of broken connections on the terminal; ours is in the report.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from cloud_target.bench.load import Load, Result
from cloud_target.bench.plan import Plan
from cloud_target.bench.report import figures, words
from cloud_target.bench.server import own_server, passes
from cloud_target.bench.settings import OwnTarget, RunningTarget, Settings
from cloud_target.options.dial import DialSettings, Line
from shared.errors import INTERRUPTED
from shared.interrupts import sigterm_unwinds


def bench(settings: Settings, out: TextIO, err: TextIO) -> int:
    """Run a load test and report on it; returns the exit status."""
    plan = settings.plan
    with sigterm_unwinds(), _running(settings.target) as target:
        result, batch = _measure(plan, Line(target.line), target.metrics, err)
    if not result.tally.calls and result.interrupted:
        return INTERRUPTED
    found = figures(plan, result, batch)
    print(words(plan, found), file=out)
    if settings.json:
        settings.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if result.interrupted:
        return INTERRUPTED
    return int(result.refused is not None or not result.tally.calls)


@contextmanager
def _running(target: OwnTarget | RunningTarget) -> Iterator[RunningTarget]:
    """The target, started if need be, for as long as the block lasts."""
    if isinstance(target, RunningTarget):
        yield target
        return
    with own_server(target.options) as (address, metrics):
        yield RunningTarget(DialSettings(address), metrics)


@contextmanager
def _interrupting(stop: Callable[[], None]) -> Iterator[None]:
    """For the length of the block, Ctrl-C does this in the event loop; nothing where whoever began this ignores it."""
    loop, is_heard = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if is_heard:
        loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        if is_heard:
            loop.remove_signal_handler(signal.SIGINT)


def _measure(plan: Plan, line: Line, metrics: str | None, err: TextIO) -> tuple[Result, float | None]:
    """Run the load; returns what was found, and the average batch size if the metrics can be had."""
    before: list[Any] = []

    async def main() -> Result:
        load = Load(plan, line, lambda text: print(f"bench: {text}", file=err, flush=True), note)
        with _interrupting(load.interrupt):
            return await load.run()

    def note() -> None:
        before.append(passes(metrics) if metrics else None)

    result = asyncio.run(main())
    after = passes(metrics) if metrics and before and before[0] else None
    if after is None or after[1] == before[0][1]:
        return result, None
    return result, (after[0] - before[0][0]) / (after[1] - before[0][1])
