"""A target in a process of its own, scripted or the true program, to be signalled, besieged and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Self

from tests.project.tree import ROOT

# Seconds; only what hangs takes so long.
PATIENCE = 120.0


class ServerProcess:
    """A module that serves, as a process; it prints its address first. A context manager that leaves none behind.

    Attributes:
        address: "host:port" that it serves on.
        pid: of the process.
    """

    def __init__(self, module: str, *arguments: object, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        self.address = self._process.stdout.readline().strip()
        assert self.address, self._process.communicate()
        self.pid = self._process.pid

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def wait_for_a_line(self) -> None:
        """Until it prints the next one."""
        assert self._process.stdout.readline(), self._process.communicate()

    def type_a_line(self) -> None:
        """On its standard input."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def fill_standard_error(self) -> None:
        """So that whoever writes to it from now on waits, as nobody reads it before `ended`."""
        again = os.open(f"/proc/self/fd/{self._process.stderr.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(again, b"." * (1 << 20))
        except BlockingIOError:
            pass
        finally:
            os.close(again)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, seconds: float = PATIENCE) -> tuple[int, str]:
        """Wait for the end, and return the exit status and everything that it logged."""
        try:
            _, log = self._process.communicate(timeout=seconds)
        finally:
            self._process.kill()
        return self._process.returncode, log

    def status(self, seconds: float) -> int:
        """Wait for the end so long, and read nothing that it logs; the exit status."""
        return self._process.wait(seconds)

    def end(self, number: signal.Signals, seconds: float = PATIENCE) -> tuple[int, str]:
        """Signal it, wait, and return the exit status and everything that it logged."""
        self.signal(number)
        return self.ended(seconds)


class ScriptedProcess(ServerProcess):
    """`tests/cloud_target/server/scripted_server.py` with these arguments."""

    def __init__(self, pause: float, port: int = 0, *more: int, **environment: str) -> None:
        super().__init__("tests.cloud_target.server.scripted_server", port, pause, *more, **environment)

    def wait_until_it_writes(self) -> None:
        """Until it is in the middle of its first text."""
        self.wait_for_a_line()


class TrueProcess(ServerProcess):
    """`cloud-target serve` itself with its embedded target, on a free port."""

    def __init__(self, *arguments: object) -> None:
        # Streams with buffers, as they are by themselves, but for the line that says where it serves.
        super().__init__("cloud_target", "serve", "--port", 0, *arguments, PYTHONUNBUFFERED="")
        self.address = self.address.rpartition(" on ")[2]


class BesiegedProcess(ServerProcess):
    """`tests/cloud_target/server/besieged_server.py` with these settings."""

    def __init__(self, **settings: Any) -> None:
        # Streams with buffers, as they are by themselves: their locks are what the end could hang in.
        super().__init__("tests.cloud_target.server.besieged_server", json.dumps(settings), PYTHONUNBUFFERED="")

    def memory(self) -> float:
        """What of its memory is resident, MiB."""
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def until(self, condition: Any, seconds: float = 20.0) -> None:
        """Wait until that is so."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.05)
