"""A scripted target as a process that operators watch: `python -m tests.cloud_target.server.watched_server JSON`.

The JSON object may have `slots` (texts of full length that have room), `gated` (each pass prints a line, and waits for
one on standard input), `tokens` (the file of those who may call), `pass_seconds`, and `traces` (where spans go). It
prints its address and that of its metrics, and logs JSON on standard error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cloud_target.access.protection import Access
from cloud_target.access.tokens import TokenFile
from cloud_target.engine.interface import Feed, Scores, Vitals
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.last_resort import last_resort
from cloud_target.server.process import serve
from cloud_target.server.server import TargetServer
from cloud_target.telemetry.exporting import telemetry
from cloud_target.telemetry.logs import logging_to
from cloud_target.telemetry.settings import TelemetrySettings

VOCABULARY, CONTEXT = 60_000, 64
VITALS = Vitals(second_looks=7, allocated=1 << 20, reserved=1 << 21, resident=1 << 22)


class GatedEngine(ScriptedEngine):
    """Tells of each pass, and begins it when it may; says that it is on a GPU."""

    def __init__(self, slots: int, gated: bool) -> None:
        super().__init__(random_script(VOCABULARY), VOCABULARY, slots, CONTEXT)
        self._gated = gated

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        if self._gated:
            print("reading", flush=True)
            sys.stdin.readline()
        return super().forward(feeds)

    def vitals(self) -> Vitals:
        return VITALS


async def main(
    slots: int = 4,
    gated: bool = False,
    tokens: str | None = None,
    traces: str | None = None,
    **limits: float,
) -> int:
    engine = GatedEngine(slots, gated)
    access = Access(tokens=TokenFile(Path(tokens)) if tokens else None)
    with (
        logging_to(None, "json", "info"),
        telemetry(TelemetrySettings(0, traces=traces), engine) as (observer, spans, metrics),
    ):
        server = TargetServer(engine, port=0, access=access, observer=observer, traces=spans)
        with last_resort() as resort:
            return await serve(server, lambda address: print(address, metrics, flush=True), resort, **limits)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(**json.loads(sys.argv[1]))))
