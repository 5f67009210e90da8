"""The whole process of a server: checks first, then the target, then calls until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

from cloud_target.access.protection import check_address, read_access
from cloud_target.engine.interface import Engine
from cloud_target.engine.load import load_engine
from cloud_target.options.sizes import show_size
from cloud_target.server.server import TargetServer, serve
from cloud_target.server.settings import ServeSettings
from cloud_target.telemetry import offered
from cloud_target.telemetry.logs import event, logging_to
from shared.errors import INTERRUPTED

log = logging.getLogger(__name__)


def serve_until_signal(settings: ServeSettings) -> int:
    """Load the target and serve it until a signal (0, or 130 for SIGINT), or until its engine is dead (1).

    Returns:
        The exit status.

    Raises:
        InputError: the target cannot be loaded or served, or the address cannot be listened on.
    """
    with logging_to(None, settings.telemetry.log_format, settings.telemetry.log_level):
        access = read_access(settings.access)
        check_address(settings.host, settings.port, access)
        offered.check(settings.telemetry)
        print(f"cloud-target: loading {settings.engine.target} ...", file=sys.stderr, flush=True)
        engine = load_engine(settings.engine)

        async def main() -> signal.Signals | None:
            with offered.telemetry(settings.telemetry, engine.description) as (observer, metrics):
                server = TargetServer(
                    engine, settings.host, settings.port, access, observer, prefix_caching=settings.prefix_caching
                )
                return await serve(server, lambda address: _ready(engine, address, metrics), settings.drain_seconds)

        ended_by = asyncio.run(main())
        if ended_by is None:
            return 1
        event(log, "ended", signal=ended_by.name)
        return INTERRUPTED if ended_by == signal.SIGINT else 0


def _ready(engine: Engine, address: str, metrics: str | None) -> None:
    """Say who serves what where: one line for people, and an event for the log."""
    who = engine.description
    about = (
        f"{show_count(who.parameters)} parameters, {who.dtype} on {who.device}, texts of {engine.context} tokens, "
        f"{engine.capacity} in {show_size(engine.capacity * engine.token_bytes)}"
    )
    print(f"cloud-target: serving {who.name} ({about}) on {address}", flush=True)
    seen: dict[str, Any] = {"metrics": metrics} if metrics else {}
    event(log, "started", target=who.name, fingerprint=who.fingerprint, dtype=who.dtype, address=address, **seen)


def show_count(number: int) -> str:
    """A large number with three digits or so and a unit, such as "5.9 M"."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
