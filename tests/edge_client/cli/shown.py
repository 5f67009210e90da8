"""The command line in a terminal of its own, whose screen can be looked at while it runs."""

from __future__ import annotations

import codecs
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.cloud_target.server.process import PATIENCE
from tests.edge_client.cli.terminal import Terminal
from tests.project.tree import ROOT

termios = pytest.importorskip("termios", reason="there are no such terminals here")

DEVICE = "tests.edge_client.scripted_device"
COLUMNS, ROWS = 30, 8


class Shown:
    """`edge-client` with the scripted device.

    Args:
        arguments: of the command line.
        size: of the terminal, columns and rows.
        program: Python to run in the place of the device's module.
        environment: beside that of the tests.
    """

    def __init__(
        self, *arguments: str, size: tuple[int, int] = (COLUMNS, ROWS), program: str = "", **environment: str
    ) -> None:
        self.terminal = Terminal(*size)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._master, slave = os.openpty()
        termios.tcsetwinsize(slave, size[::-1])
        environment = {"TERM": "xterm", "TANDEM_TEST_PAUSE": "0.001"} | environment
        self.run = subprocess.Popen(
            [sys.executable, *(("-c", program) if program else ("-m", DEVICE)), *arguments],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read(self, until: Callable[[Terminal], bool] = lambda _: False) -> None:
        """Let it write until something is on the screen, or it ends."""
        end = time.monotonic() + PATIENCE
        while not until(self.terminal):
            assert time.monotonic() < end
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    data = os.read(self._master, 65536)
                except OSError:  # as Linux says that nobody has the other end open any more
                    data = b""
                if not data:
                    break
                self.terminal.feed(self._decode(data))

    def close(self) -> None:
        with self.run:
            self.run.kill()
        os.close(self._master)
