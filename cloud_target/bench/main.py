"""From the options of `cloud-target bench` to its report."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# The library prints its own account of broken connections on the terminal; ours is in the report.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from cloud_target.bench.load import Load, Result
from cloud_target.bench.plan import Plan
from cloud_target.bench.report import figures, words
from cloud_target.bench.server import own_server, passes
from cloud_target.options import dial
from cloud_target.options.dial import Line
from cloud_target.options.given import given
from cloud_target.server import cli as serve
from shared.errors import InputError

INTERRUPTED = 130
# What the load test decides itself about a target of its own.
_MINE = ("--host", "--port", "--metrics-host", "--metrics-port", "--insecure-bind")
_PROTECTION = ("--tls-cert", "--tls-key", "--client-ca", "--tokens")


def bench(plan: Plan, options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Run a load test and report on it; returns the exit status."""
    if options.json and not options.json.absolute().parent.is_dir():
        raise InputError(f"cannot write {options.json}: there is no such directory")
    with _ends_in_order(), _target(options) as metrics:
        result, batch = _measure(plan, Line(options), metrics, err)
    if not result.tally.calls and result.interrupted:
        return INTERRUPTED
    found = figures(plan, result, batch)
    print(words(plan, found), file=out)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if result.interrupted:
        return INTERRUPTED
    return int(result.refused is not None or not result.tally.calls)


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that a target of the test's own is not left behind."""

    def unwind(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _target(options: argparse.Namespace) -> Iterator[str | None]:
    """The target: the one at the address, or one of our own, whose address is then filled in; yields its metrics'."""
    words, reaching = given(options, serve.add_options), given(options, dial.add_options)
    if mine := [word for word in words if word in _MINE]:
        raise InputError(f"{mine[0]} is not for a load test, whose own target is on loopback; leave it out")
    if options.address:
        if words:
            raise InputError(f"{words[0]} is for a target of the test's own; leave it out, or leave out --address")
        yield options.metrics
        return
    if reaching or options.metrics:
        raise InputError(f"{[*reaching, '--metrics'][0]} is for a target that runs already; give its --address")
    if protection := [word for word in words if word in _PROTECTION]:
        raise InputError(
            f"{protection[0]} is not for the test's own target, which is on loopback without TLS or tokens; start one, "
            "and give its --address"
        )
    with own_server(words) as (options.address, metrics):
        yield metrics


def _measure(plan: Plan, line: Line, metrics: str | None, err: TextIO) -> tuple[Result, float | None]:
    """Run the load; returns what was found, and the average batch size if the metrics can be had."""
    before: list[Any] = []

    async def main() -> Result:
        load = Load(plan, line, lambda text: print(f"bench: {text}", file=err, flush=True), note)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, load.interrupt)
        try:
            return await load.run()
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def note() -> None:
        before.append(passes(metrics) if metrics else None)

    result = asyncio.run(main())
    after = passes(metrics) if metrics and before and before[0] else None
    if after is None or after[1] == before[0][1]:
        return result, None
    return result, (after[0] - before[0][0]) / (after[1] - before[0][1])
