"""The target of `tests/edge_client/scripted_device.py` as a process, which takes its time for passes and logs all.

`python -m tests.cloud_target.server.scripted_server PORT SECONDS_A_PASS [VOCABULARY]`; it prints its address when it
serves, and another line when it is in the middle of a text. With a vocabulary it writes nonsense over that many token
ids instead.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.last_resort import last_resort
from cloud_target.server.process import serve
from cloud_target.server.server import TargetServer
from tests.edge_client.scripted_device import CONTEXT, script, tokenizer

# It is in the middle of a text by then.
PASSES = 10


class PacedEngine(ScriptedEngine):
    """Takes `pause` seconds for a pass."""

    def __init__(self, pause: float, vocabulary: int | None) -> None:
        size = vocabulary or tokenizer().get_vocab_size()
        super().__init__(random_script(size) if vocabulary else script("target"), size, slots=16, context=CONTEXT)
        self._pause = pause
        self._passes = 0

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        time.sleep(self._pause)
        self._passes += 1
        if self._passes == PASSES:
            print("writing", flush=True)
        return super().forward(feeds)


async def main(port: int, pause: float, vocabulary: int | None = None) -> None:
    server = TargetServer(PacedEngine(pause, vocabulary), port=port)
    with last_resort() as resort:
        await serve(server, lambda address: print(address, flush=True), resort)


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:])))
