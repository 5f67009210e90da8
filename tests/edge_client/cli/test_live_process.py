"""`edge-client` on a terminal: what is on the screen while the target is asked, and what is left there."""

from __future__ import annotations

import codecs
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from edge_client.cli.console import CONTROLS
from tests.cloud_target.server.process import PATIENCE
from tests.edge_client.cli.terminal import Terminal
from tests.edge_client.cli.test_process import DEVICE, skip_if_ignored
from tests.edge_client.scripted_device import fake_cloud
from tests.grpc_service import Servicer, serving
from tests.project.tree import ROOT

termios = pytest.importorskip("termios", reason="there are no such terminals here")
pytestmark = pytest.mark.slow

COLUMNS, ROWS = 30, 8
OPTIONS = ("--window", "4", "--no-memory", "--max-tokens", "100")


class Shown:
    """The command line in a terminal of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.terminal = Terminal(COLUMNS, ROWS)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._master, slave = os.openpty()
        termios.tcsetwinsize(slave, (ROWS, COLUMNS))
        environment = {"TERM": "xterm", "TANDEM_TEST_PAUSE": "0.001"} | environment
        self.run = subprocess.Popen(
            [sys.executable, "-m", DEVICE, *arguments],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)

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


@pytest.fixture
def show() -> Iterator[Callable[..., Shown]]:
    """Starts the command line in a terminal; what still runs after the test is killed."""
    all_of_them: list[Shown] = []

    def begin(*arguments: str, **environment: str) -> Shown:
        all_of_them.append(Shown(*arguments, **environment))
        return all_of_them[-1]

    yield begin
    for shown in all_of_them:
        shown.close()


@pytest.fixture
def served() -> Iterator[tuple[str, Servicer]]:
    servicer = Servicer(fake_cloud())
    with serving(servicer) as port:
        yield f"127.0.0.1:{port}", servicer


def text_of(address: str) -> str:
    command = [sys.executable, "-m", DEVICE, "Tom", "--json", "--target", address, *OPTIONS]
    text: str = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)["text"]
    return text


def screen_of(text: str) -> list[str]:
    terminal = Terminal(COLUMNS, ROWS)
    terminal.write(f"{text.translate(CONTROLS)}\n")
    return terminal.lines[:-1]


def test_ctrl_c_leaves_the_settled_text_only(show, served):
    skip_if_ignored(signal.SIGINT)
    address, servicer = served
    text = text_of(address)
    servicer.answered = 24
    # Quiet, for on a slow machine a note that the target is silent would stand in the text.
    shown = show("Tom", "--target", address, *OPTIONS, "--quiet", "--provisional", "always")
    assert servicer.unanswered.wait(PATIENCE)
    shown.read(until=lambda terminal: bool(terminal.behind_the_cursor))
    shown.run.send_signal(signal.SIGINT)
    shown.read()
    assert shown.run.wait(PATIENCE) == 130
    left = [line for line in shown.terminal.lines if line]
    assert left in [[line for line in screen_of("Tom" + text[:count]) if line] for count in range(len(text) + 1)]
    assert not shown.terminal.screen.cursor.hidden
    assert shown.terminal.screen.cursor.attrs.fg == "default"


@pytest.mark.parametrize(
    ("options", "environment", "is_live"),
    [((), {}, True), (("--provisional", "never"), {}, False), ((), {"NO_COLOR": "1"}, False), (("-q",), {}, False)],
)
def test_the_whole_text_is_left_on_the_screen(show, served, options, environment, is_live):
    address, _ = served
    shown = show("Tom", "--target", address, *OPTIONS, *options, **environment)
    shown.read()
    assert shown.run.wait(PATIENCE) == 0
    expected = screen_of("Tom" + text_of(address).rstrip("\n"))
    assert shown.terminal.lines[: len(expected)] == expected
    assert is_live or "\033[J" not in shown.terminal.getvalue()
