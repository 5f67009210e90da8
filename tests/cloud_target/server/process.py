"""A scripted target in a process of its own, to be signalled and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.project.tree import ROOT

# Seconds; only what hangs takes so long.
PATIENCE = 120.0


class ScriptedProcess:
    """`tests/cloud_target/server/scripted_server.py` with these arguments.

    Attributes:
        address: "host:port" that it serves on.
    """

    def __init__(self, pause: float, port: int = 0, *more: int, **environment: str) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.cloud_target.server.scripted_server",
            str(port),
            str(pause),
            *map(str, more),
        ]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        self.address = self._process.stdout.readline().strip()
        assert self.address, self._process.communicate()

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def wait_until_it_writes(self) -> None:
        """Until it is in the middle of its first text."""
        assert self._process.stdout.readline(), self._process.communicate()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Signal it, wait, and return the exit status and everything that it logged."""
        self.signal(number)
        try:
            _, log = self._process.communicate(timeout=PATIENCE)
        finally:
            self._process.kill()
        return self._process.returncode, log
