"""While a target is served, no thread of Python keeps the passes waiting for long."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.last_resort import last_resort
from cloud_target.server.process import serve
from cloud_target.server.server import TargetServer
from cloud_target.server.short_turns import SECONDS, short_turns


def test_they_are_short_within_the_block_and_what_they_were_after_it():
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(SECONDS)
    assert sys.getswitchinterval() == before


def test_a_process_that_serves_has_them():
    found = []

    def ready(_: str) -> None:
        found.append(sys.getswitchinterval())
        os.kill(os.getpid(), signal.SIGTERM)

    async def main() -> int:
        with last_resort() as resort:
            return await serve(TargetServer(ScriptedEngine(random_script(8), 8), port=0), ready, resort, 0.1)

    assert asyncio.run(main()) == 0
    assert found == [pytest.approx(SECONDS)]
