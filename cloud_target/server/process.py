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
from cloud_target.engine.elsewhere import Elsewhere, load_elsewhere
from cloud_target.engine.interface import Engine
from cloud_target.server.connections import make_room
from cloud_target.server.hearing import hearing
from cloud_target.server.heartbeat import heartbeat
from cloud_target.server.last_resort import LastResort, last_resort
from cloud_target.server.retiring import BACK, OUT
from cloud_target.server.server import SURELY_ENDED, TargetServer
from cloud_target.server.settings import DEAD, DRAIN_SECONDS, HANGS, PASS_SECONDS, ServeSettings
from cloud_target.server.short_turns import short_turns
from cloud_target.server.spare_memory import give_back
from cloud_target.server.vanished import vanished_untold
from cloud_target.server.watchdog import watching
from cloud_target.telemetry import exporting as offered
from cloud_target.telemetry.logs import event, logging_to, write_the_rest
from shared.configuration.told import about
from shared.errors import INTERRUPTED
from shared.sizes import show_size
from shared.streams import abandon_output

log = logging.getLogger(__name__)
# Seconds between two looks at whether the engine's process is there.
_LOOK = 1.0
# Seconds that calls may still take where nothing that hangs will answer them.
_HOPELESS = 1.0


def serve_until_signal(settings: ServeSettings) -> int:
    """Load the target and serve it until a signal, or until it can answer nobody any more.

    Returns:
        The exit status: 0, or 130 for SIGINT; `DEAD` or `HANGS`.

    Raises:
        InputError: the target cannot be loaded or served, or the address cannot be listened on.
    """
    with logging_to(None, settings.telemetry.log_format, settings.telemetry.log_level), ExitStack() as opened:
        access = read_access(settings.access)
        check_address(settings.host, settings.port, access)
        offered.check(settings.telemetry)
        make_room(settings.connections.most)
        directory = settings.bundle.directory
        with about("bundle"):
            bundle = opened.enter_context(closing(OfferedBundle(directory))) if directory else None
        print(f"cloud-target: loading {settings.engine.target} ...", file=sys.stderr, flush=True)
        with about("target"):
            engine = load_elsewhere(
                settings.engine, settings.prefix_caching, lambda note: print(f"cloud-target: {note}", file=sys.stderr)
            )
        opened.enter_context(closing(engine))
        if bundle is not None:
            with about("bundle"):
                bundle.check(engine.description)

        async def main() -> int:
            with offered.telemetry(settings.telemetry, engine) as (observer, traces, metrics):
                server = TargetServer(
                    engine,
                    settings.host,
                    settings.port,
                    access,
                    observer,
                    prefix_caching=settings.prefix_caching,
                    bundle=bundle,
                    fetches=settings.bundle.fetches,
                    connections=settings.connections,
                    session_idle=settings.session_idle,
                    traces=traces,
                )
                return await serve(
                    server,
                    lambda address: _ready(engine, address, metrics, bundle),
                    resort,
                    settings.drain_seconds,
                    settings.pass_seconds,
                    engine,
                )

        resort = opened.enter_context(last_resort())
        return asyncio.run(main())


async def serve(
    server: TargetServer,
    ready: Callable[[str], None],
    resort: LastResort,
    drain_seconds: float = DRAIN_SECONDS,
    pass_seconds: float = PASS_SECONDS,
    apart: Elsewhere | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, until the engine is dead, or until a pass does not end.

    It ends at most `drain_seconds` and two more after the signal. A second signal ends the process at once.
    SIGUSR1 takes it out of service, and SIGUSR2 back into it.

    Args:
        ready: gets the address when calls are answered.
        resort: ends the process where that takes longer.
        drain_seconds: how long calls under way may still take after the signal.
        pass_seconds: how long a forward pass may take.
        apart: the engine, where it is another process.

    Returns:
        The exit status.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[int, float]] = loop.create_future()

    def end(status: int, seconds: float) -> None:
        resort.arm(seconds + SURELY_ENDED, status)
        if not ended.done():
            ended.set_result((status, seconds))

    def heard(number: signal.Signals) -> None:  # from the thread that hears, and so also where the event loop hangs
        status = INTERRUPTED if number == signal.SIGINT else 0
        resort.arm(drain_seconds + SURELY_ENDED, status)
        loop.call_soon_threadsafe(drain, number, status)

    def drain(number: signal.Signals, status: int) -> None:
        event(log, "draining", signal=number.name, at_most_seconds=drain_seconds)
        end(status, drain_seconds)

    def hangs() -> None:  # from the thread that noticed, and so heard even where the event loop hangs, too
        resort.arm(_HOPELESS + SURELY_ENDED, HANGS)
        if apart is not None:
            apart.show_where()
        server.observer.hung()
        loop.call_soon_threadsafe(end, HANGS, _HOPELESS)

    async def notice() -> None:
        await server.dead.wait()
        log.error("nobody can be served any more; the server ends, so that another may be started")
        end(DEAD, drain_seconds)

    async def stay_with_it() -> None:
        if apart is None:
            return
        while apart.is_there:
            await asyncio.sleep(_LOOK)
        log.error("the process that the model runs in is gone")
        server.dead.set()

    def out() -> None:
        event(log, "out of service", logging.WARNING)
        server.retire()

    def back() -> None:
        if not ended.done():
            server.go_on()
            event(log, "in service again", logging.WARNING)

    server.observer.watched(pass_seconds)
    service = {OUT: lambda: loop.call_soon_threadsafe(out), BACK: lambda: loop.call_soon_threadsafe(back)}
    with hearing(heard, service), vanished_untold(), short_turns():
        await server.start()
        beside = [asyncio.create_task(task) for task in (notice(), stay_with_it(), give_back())]
        status, seconds = DEAD, drain_seconds
        try:
            with (
                heartbeat(pass_seconds) as beat,
                watching(lambda: server.under_way, pass_seconds, hangs, beat=beat),
            ):
                ready(server.address)
                status, seconds = await ended
        finally:
            for task in beside:
                task.cancel()
            if not await server.stop(seconds):
                log.warning("a forward pass still runs; the process ends without waiting for it")
                write_the_rest()
                os._exit(status)
        event(log, "ended", status=status)
        return status


def _ready(engine: Engine, address: str, metrics: str | None, bundle: OfferedBundle | None) -> None:
    """Say who serves what where: one line for people, and an event for the log."""
    who = engine.description
    about = (
        f"{show_count(who.parameters)} parameters, {who.dtype} on {who.device}, texts of {engine.context} tokens, "
        f"{engine.capacity} in {show_size(engine.capacity * engine.token_bytes)}"
    )
    lines = [f"cloud-target: serving {who.name} ({about}) on {address}"]
    seen: dict[str, Any] = {"metrics": metrics} if metrics else {}
    if bundle is not None:
        what = bundle.contents
        lines.append(f"cloud-target: edges may fetch {what.name} ({what.digest[:12]}, {show_size(what.size)})")
        seen["bundle"] = what.digest
    try:
        print("\n".join(lines), flush=True)
    except OSError:  # edges need not go without it because nobody reads who is served
        abandon_output()
        event(log, "standard output cannot be written", logging.WARNING, address=address)
    event(log, "started", target=who.name, fingerprint=who.fingerprint, dtype=who.dtype, address=address, **seen)


def show_count(number: int) -> str:
    """A large number with three digits or so and a unit, such as "5.9 M"."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
