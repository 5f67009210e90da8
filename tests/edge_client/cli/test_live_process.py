"""`edge-client` on a terminal: what is on the screen while the target is asked, and what is left there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from edge_client.cli.console import CONTROLS
from tests.cloud_target.server.process import PATIENCE
from tests.edge_client.cli.shown import COLUMNS, DEVICE, ROWS
from tests.edge_client.cli.terminal import Terminal
from tests.edge_client.cli.test_process import skip_if_ignored
from tests.project.tree import ROOT

pytestmark = pytest.mark.slow

OPTIONS = ("--seed", "0", "--window", "4", "--no-memory", "--max-tokens", "100")


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
