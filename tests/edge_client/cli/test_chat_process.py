"""`edge-client chat` on a terminal: keys, signals, and what is on the screen."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cloud_target.server.process import PATIENCE
from tests.edge_client.cli.shown import DEVICE, Shown
from tests.edge_client.cli.test_process import skip_if_ignored
from tests.edge_client.scripted_device import fake_edge
from tests.grpc_service import unused_port
from tests.project.tree import ROOT

readline = pytest.importorskip("readline", reason="there is nothing to edit lines with")
pytestmark = pytest.mark.slow

OPTIONS = ("--mode", "exact", "--temperature", "0.7", "--seed", "3", "-q", "--color", "never")

Begin = Callable[..., Shown]


@pytest.fixture
def begin(show, served, tmp_path) -> Begin:
    """Starts a chat in a wide terminal, and waits for its prompt."""

    def start(*options: str, **environment: str) -> Shown:
        chat: Shown = show(
            "chat",
            *("--target", served[0], *OPTIONS, *options),
            size=(150, 40),
            **{"TANDEM_STATE": str(tmp_path / "state"), **environment},
        )
        prompted(chat)
        return chat

    return start


def prompted(chat: Shown, line: str = "> ") -> None:
    """Wait until the cursor stands behind that line."""
    chat.read(until=lambda terminal: terminal.lines[-1] == line.rstrip() and terminal.cursor[1] == len(line))


def said(chat: Shown, text: str) -> None:
    """Type a turn, and wait for the next prompt."""
    lines = len(chat.terminal.lines)
    chat.type(f"{text}\n")
    chat.read(until=lambda terminal: len(terminal.lines) > lines)
    prompted(chat)


def ended(chat: Shown, status: int = 0) -> None:
    chat.read()
    assert chat.run.wait(PATIENCE) == status
    assert "Traceback" not in chat.terminal.getvalue()


def kept(chat: Shown, path: Path) -> dict[str, Any]:
    said(chat, f"/save! {path}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def expected(messages: list[dict[str, str]], **options: Any) -> str:
    with fake_edge(mode="exact", temperature=0.7, seed=3, **options) as fresh:
        return fresh.chat(messages).text


def test_questions_are_answered_until_ctrl_d(begin, tmp_path):
    chat = begin("--max-tokens", "20")
    said(chat, "Hello\\\nyou")
    said(chat, "More")
    messages = kept(chat, tmp_path / "talk.json")["messages"]
    assert [message["content"] for message in messages[::2]] == ["Hello\nyou", "More"]
    for place in (1, 3):
        assert messages[place]["content"] == expected(messages[:place], max_tokens=20)
    chat.type("\x04")
    ended(chat)


@pytest.mark.parametrize("provisional", ["always", "never"])
def test_ctrl_c_in_the_middle_of_an_answer_stops_the_answer(begin, served, tmp_path, provisional):
    skip_if_ignored(signal.SIGINT)
    _, servicer = served
    servicer.answered = 8
    chat = begin(
        "--max-tokens", "200", "--mode", "sprint", "--window", "4", "--no-memory", "--provisional", provisional
    )
    chat.type("Hello\n")
    assert servicer.unanswered.wait(PATIENCE)
    chat.read(until=lambda terminal: len(terminal.lines) > 1 and bool(terminal.lines[-1]))
    chat.run.send_signal(signal.SIGINT)
    prompted(chat)
    servicer.answered = 10**9
    found = kept(chat, tmp_path / "talk.json")
    [answer], text = found["answers"], found["messages"][1]["content"]
    assert answer["finish_reason"] == "interrupted"
    assert 0 < answer["figures"]["tokens"] < 200
    shown = "".join(chat.terminal.lines[1 : chat.terminal.lines.index(f"> /save! {tmp_path / 'talk.json'}")])
    assert shown.removesuffix("^C").split() == text.split()
    said(chat, "Go on")
    messages = kept(chat, tmp_path / "talk.json")["messages"]
    assert messages[1]["content"] == text
    assert len(messages) == 4
    chat.type("\x04")
    ended(chat)


def test_ctrl_c_at_the_prompt_clears_the_line_and_twice_ends_it(begin, tmp_path):
    skip_if_ignored(signal.SIGINT)
    chat = begin("--max-tokens", "5")
    chat.type("never said")
    prompted(chat, "> never said")
    chat.run.send_signal(signal.SIGINT)
    chat.read(until=lambda terminal: "Ctrl-C again" in "\n".join(terminal.lines))
    prompted(chat)
    said(chat, "Hello")
    assert [message["content"] for message in kept(chat, tmp_path / "talk.json")["messages"][::2]] == ["Hello"]
    chat.run.send_signal(signal.SIGINT)
    chat.read(until=lambda terminal: "\n".join(terminal.lines).count("Ctrl-C again") == 2)
    prompted(chat)
    chat.run.send_signal(signal.SIGINT)
    ended(chat)


def test_edit_offers_the_old_text(begin, tmp_path):
    chat = begin("--max-tokens", "5")
    said(chat, "Hello")
    chat.type("/edit\n")
    prompted(chat, "> Hello")
    chat.type(", you\n")
    prompted(chat)
    messages = kept(chat, tmp_path / "talk.json")["messages"]
    assert [message["content"] for message in messages[::2]] == ["Hello, you"]
    assert messages[1]["content"] == expected(messages[:1], max_tokens=5)
    chat.type("/quit\n")
    ended(chat)


@pytest.mark.parametrize("when", ["at the prompt", "in an answer"])
def test_sigterm_ends_it_in_good_order(begin, served, when):
    _, servicer = served
    servicer.answered = 8
    chat = begin("--max-tokens", "200", "--mode", "sprint", "--window", "4", "--no-memory")
    if when == "in an answer":
        chat.type("Hello\n")
        assert servicer.unanswered.wait(PATIENCE)
    chat.run.send_signal(signal.SIGTERM)
    ended(chat, 128 + signal.SIGTERM)
    assert len(servicer.transport.released) == (when == "in an answer")
    assert not chat.terminal.screen.cursor.hidden


def test_what_was_typed_comes_back_in_the_next_chat(begin, tmp_path):
    chat = begin("--max-tokens", "5")
    said(chat, "Hello")
    chat.type("\x04")
    ended(chat)
    history = tmp_path / "state" / "chat-history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    again = begin("--max-tokens", "5")
    again.type("\x1b[A")
    prompted(again, "> Hello")
    again.type("\x15\x04")
    ended(again)


def test_without_memory_nothing_of_it_is_kept(begin, tmp_path):
    chat = begin("--max-tokens", "5", "--no-memory")
    said(chat, "Hello")
    chat.type("\x04")
    ended(chat)
    assert {path.stem for path in tmp_path.glob("state/*")} == {"usage"}  # which only counts
    assert "Hello" not in "".join(path.read_text() for path in tmp_path.glob("state/usage/*"))


_WITHOUT_READLINE = f"""
import sys
sys.modules["readline"] = None
sys.argv[0] = "{DEVICE}"
import runpy
runpy.run_module("{DEVICE}", run_name="__main__")
"""


def test_it_works_without_readline(show, served, tmp_path):
    chat = show(
        "chat", *("--target", served[0], *OPTIONS, "--max-tokens", "5"), size=(150, 40), program=_WITHOUT_READLINE
    )
    prompted(chat)
    said(chat, "Hello")
    chat.type("/edit\n")
    chat.read(until=lambda terminal: terminal.lines[-2:] == ["Hello", ">"])
    chat.type("Hello, you\n")
    chat.read(until=lambda terminal: "> Hello, you" in terminal.lines)
    prompted(chat)
    messages = kept(chat, tmp_path / "talk.json")["messages"]
    assert messages[0]["content"] == "Hello, you"
    chat.run.send_signal(signal.SIGTERM)
    ended(chat, 128 + signal.SIGTERM)


def piped(lines: str, target: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", DEVICE, "chat", "--target", target, *OPTIONS, "--max-tokens", "20", *options],
        cwd=ROOT,
        input=lines,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )


def test_a_pipe(served):
    run = piped("Hello\nMore\n", served[0])
    first = [{"role": "user", "content": "Hello"}]
    answer = expected(first, max_tokens=20)
    second = [*first, {"role": "assistant", "content": answer}, {"role": "user", "content": "More"}]
    assert run.stdout == "".join(
        text if text.endswith("\n") else f"{text}\n" for text in (answer, expected(second, max_tokens=20))
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_pipe_whose_target_is_away():
    dead = f"127.0.0.1:{unused_port()}"
    alone = piped("Hello\n", dead, "--mode", "sprint")
    assert alone.returncode == 0
    assert re.fullmatch(r"edge-client: warning: 20 of 20 tokens were written without the target, .*\n", alone.stderr)
    refused = piped("Hello\n/mode local\nHello\n", dead, "--on-outage", "fail")
    assert refused.returncode == 3, "though the second turn was answered"
    assert refused.stdout.strip()
    assert refused.stderr.startswith(f"edge-client: cannot reach the target at {dead}")
    again = piped("Hello\n/mode local\n/retry\n", dead, "--on-outage", "fail")
    assert again.returncode == 0
    assert again.stdout == refused.stdout
    assert piped("/nothing\n", dead).returncode == 2


def test_a_target_that_is_away_is_asked_again_by_retry(begin, served, tmp_path):
    _, servicer = served
    servicer.ends = True
    chat = begin("--max-tokens", "5", "--timeout", "1", "--on-outage", "fail")
    chat.type("Hello\n")
    chat.read(until=lambda terminal: "/retry asks again" in " ".join(terminal.lines))
    prompted(chat)
    servicer.ends = False
    said(chat, "/retry")
    messages = kept(chat, tmp_path / "talk.json")["messages"]
    assert messages[1]["content"] == expected(messages[:1], max_tokens=5)
    chat.type("\x04")
    ended(chat)
