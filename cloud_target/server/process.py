"""The whole process of a server: checks first, then the target, then calls until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from cloud_target.access.protection import check_address, read_access
from cloud_target.bundles.offered import OfferedBundle
from cloud_target.engine.interface import Engine
from cloud_target.engine.load import load_engine
from cloud_target.server.server import TargetServer
from cloud_target.server.settings import ServeSettings
from cloud_target.telemetry import exporting as offered
from cloud_target.telemetry.logs import event, logging_to
from shared.errors import INTERRUPTED
from shared.sizes import show_size

log = logging.getLogger(__name__)


def serve_until_signal(settings: ServeSettings) -> int:
    """Load the target and serve it until a signal (0, or 130 for SIGINT), or until its engine is dead (1).

    Returns:
        The exit status.

    Raises:
        InputError: the target cannot be loaded or served, or the address cannot be listened on.
    """
    with logging_to(None, settings.telemetry.log_format, settings.telemetry.log_level), ExitStack() as opened:
        access = read_access(settings.access)
        check_address(settings.host, settings.port, access)
        offered.check(settings.telemetry)
        directory = settings.bundle.directory
        bundle = opened.enter_context(closing(OfferedBundle(directory))) if directory else None
        print(f"cloud-target: loading {settings.engine.target} ...", file=sys.stderr, flush=True)
        engine = load_engine(settings.engine, lambda note: print(f"cloud-target: {note}", file=sys.stderr))
        if bundle is not None:
            bundle.check(engine.description)

        async def main() -> signal.Signals | None:
            with offered.telemetry(settings.telemetry, engine.description) as (observer, metrics):
                server = TargetServer(
                    engine,
                    settings.host,
                    settings.port,
                    access,
                    observer,
                    prefix_caching=settings.prefix_caching,
                    bundle=bundle,
                    fetches=settings.bundle.fetches,
                )
                return await serve(
                    server, lambda address: _ready(engine, address, metrics, bundle), settings.drain_seconds
                )

        ended_by = asyncio.run(main())
        if ended_by is None:
            return 1
        event(log, "ended", signal=ended_by.name)
        return INTERRUPTED if ended_by == signal.SIGINT else 0


async def serve(server: TargetServer, ready: Callable[[str], None], drain_seconds: float) -> signal.Signals | None:
    """Serve until SIGTERM or SIGINT; returns which. A second signal ends the process at once.

    Without a signal it ends, with None, where the engine is dead: a new process may do better.

    Args:
        ready: gets the address when calls are answered.
        drain_seconds: how long calls under way may still take after the signal.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def hear(number: signal.Signals) -> None:
        if stop.done():
            log.warning("ended at once by a second signal")
            os._exit(128 + number)  # not even a forward pass is waited for; edges repeat what they asked
        stop.set_result(number)

    async def notice() -> None:
        await server.dead.wait()
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hear, number)
    await server.start()
    noticing = asyncio.create_task(notice())
    try:
        ready(server.address)
        ended_by = await stop
        if ended_by is None:
            log.error("the engine fails at every pass; the server ends, so that another may be started")
        else:
            event(log, "draining", signal=ended_by.name, at_most_seconds=drain_seconds)
        return ended_by
    finally:
        noticing.cancel()
        await server.stop(drain_seconds)


def _ready(engine: Engine, address: str, metrics: str | None, bundle: OfferedBundle | None) -> None:
    """Say who serves what where: one line for people, and an event for the log."""
    who = engine.description
    about = (
        f"{show_count(who.parameters)} parameters, {who.dtype} on {who.device}, texts of {engine.context} tokens, "
        f"{engine.capacity} in {show_size(engine.capacity * engine.token_bytes)}"
    )
    print(f"cloud-target: serving {who.name} ({about}) on {address}", flush=True)
    seen: dict[str, Any] = {"metrics": metrics} if metrics else {}
    if bundle is not None:
        what = bundle.contents
        print(f"cloud-target: edges may fetch {what.name} ({what.digest[:12]}, {show_size(what.size)})", flush=True)
        seen["bundle"] = what.digest
    event(log, "started", target=who.name, fingerprint=who.fingerprint, dtype=who.dtype, address=address, **seen)


def show_count(number: int) -> str:
    """A large number with three digits or so and a unit, such as "5.9 M"."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
