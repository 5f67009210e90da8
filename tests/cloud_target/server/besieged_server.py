"""A scripted target as a process that tests besiege: `python -m tests.cloud_target.server.besieged_server JSON`.

The JSON object may have `pause` (seconds a pass takes), `holds` (its first pass waits for a line on standard input,
prints another one, and then keeps Python's own lock for ever), `sticks` (after a line on standard input its event loop
waits for ever and is not even woken by signals, as in a file system that hangs; it prints another one before), `tokens`
(the file of those who may call), `drain_seconds`, `pass_seconds`, `slots` (so many texts of full length have room), and
`connections` and `timeouts`, the fields of `ConnectionSettings` and `Timeouts`. It prints its address when it serves,
and another line when it is in its first pass.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloud_target.access.protection import Access
from cloud_target.access.tokens import TokenFile
from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.connections import ConnectionSettings
from cloud_target.server.last_resort import last_resort
from cloud_target.server.process import serve
from cloud_target.server.server import TargetServer
from cloud_target.server.timeouts import Timeouts
from cloud_target.telemetry.logs import logging_to

VOCABULARY, CONTEXT, SLOTS = 8, 4096, 64
SCRIPT = random_script(VOCABULARY)


class SlowEngine(ScriptedEngine):
    """Takes its time for each pass."""

    def __init__(self, pause: float, holds: bool, slots: int) -> None:
        super().__init__(SCRIPT, VOCABULARY, slots, CONTEXT)
        self._pause, self._holds = pause, holds

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        if not self.passes:
            print("reading", flush=True)
        if self._holds:
            sys.stdin.readline()
            print("holding", flush=True)
            ctypes.PyDLL(None).sleep(3600)  # unlike CDLL it keeps the lock
        time.sleep(self._pause)
        return super().forward(feeds)


def stick() -> None:
    """Wait in this thread, which signals leave alone."""
    sys.stdin.readline()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    print("sticking", flush=True)
    time.sleep(3600)


async def main(
    pause: float = 0.0,
    holds: bool = False,
    sticks: bool = False,
    tokens: str | None = None,
    slots: int = SLOTS,
    connections: dict[str, Any] | None = None,
    timeouts: dict[str, float] | None = None,
    **limits: float,
) -> int:
    access = Access(tokens=TokenFile(Path(tokens)) if tokens else None)
    settings = ConnectionSettings(**connections or {})
    engine = SlowEngine(pause, holds, slots)
    server = TargetServer(engine, port=0, access=access, connections=settings, timeouts=Timeouts(**timeouts or {}))
    if sticks:
        asyncio.get_running_loop().add_reader(sys.stdin, stick)
    with last_resort() as resort:
        return await serve(server, lambda address: print(address, flush=True), resort, **limits)


if __name__ == "__main__":
    with logging_to(level="info"):
        status = asyncio.run(main(**json.loads(sys.argv[1])))
    sys.exit(status)
