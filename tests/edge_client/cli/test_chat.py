"""`edge-client chat` over a pipe, and what it refuses before anything is asked."""

from __future__ import annotations

import io
import json
import re
import sys
from types import SimpleNamespace

import pytest

from edge_client.bundles.bundle import Bundle
from edge_client.cli.arguments import parse_args
from edge_client.cli.chat import _turns as turns_of
from edge_client.settings import Settings
from edge_client.target.client import TargetClient
from shared.errors import InputError
from tests.edge_client.scripted_device import fake_bundle, fake_edge

OPTIONS = ("--mode", "exact", "--max-tokens", "20", "--no-memory")


@pytest.fixture
def chat(edge, monkeypatch):
    """Chats by these lines; gives the exit status, and what was written to stdout and stderr."""

    def lead(lines: str | bytes, *options: str) -> tuple[int, str, str]:
        data = lines.encode() if isinstance(lines, str) else lines
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return edge("chat", *options)

    return lead


def test_what_it_understands():
    options = parse_args(["--mode", "local", "chat", "--system", "Be short.", "--seed", "3"])
    assert (options.command, options.mode, options.system, options.seed) == ("chat", "local", "Be short.", 3)
    defaults = parse_args(["chat"])
    assert (defaults.max_tokens, defaults.seed, defaults.system) == (None, None, "")
    assert (defaults.mode, defaults.budget, defaults.temperature) == (
        Settings.mode,
        Settings.budget,
        Settings.temperature,
    )
    assert parse_args(["generate", "chat"]).prompt == "chat"
    assert parse_args(["--", "chat"]).command == "generate"


def test_lines_of_a_pipe_are_turns_and_answers_are_all_that_is_written(chat):
    status, out, err = chat("Hello\nMore\\\nlines\n\n", *OPTIONS, "--seed", "3")
    messages: list[dict[str, str]] = []
    for question in ("Hello", "More\nlines"):
        messages.append({"role": "user", "content": question})
        with fake_edge(mode="exact", max_tokens=20) as fresh:
            messages.append({"role": "assistant", "content": fresh.chat(messages, seed=3).text})
    texts = [message["content"] for message in messages[1::2]]
    assert (status, out) == (0, "".join(text if text.endswith("\n") else f"{text}\n" for text in texts))
    assert len(err.splitlines()) == 2
    assert all(re.match("exact: 20 tokens; cut at the length limit; ", line) for line in err.splitlines())
    assert chat("Hello\nMore\\\nlines\n\n", *OPTIONS, "--seed", "3", "-q") == (0, out, "")


def test_every_answer_has_a_seed_of_its_own(chat, tmp_path, monkeypatch):
    monkeypatch.delenv("TANDEM_SEED", raising=False)
    path = tmp_path / "talk.json"
    assert chat(f"Hello\nHello\n/save {path}\n", *OPTIONS)[0] == 0
    kept = json.loads(path.read_text())
    first, second = (answer["seed"] for answer in kept["answers"])
    assert first != second
    with fake_edge(mode="exact", max_tokens=20) as fresh:
        assert fresh.chat(kept["messages"][:3], seed=second).text == kept["messages"][3]["content"]


def test_the_end_of_the_input_is_the_end(chat, transport):
    assert chat("", *OPTIONS) == (0, "", "")
    assert chat("Hello\n/quit\nnever\n", *OPTIONS, "-q")[1].count("\n") >= 1
    assert len(transport.released) == 1


def test_local_never_connects(chat, monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(TargetClient, "connect", fail)
    status, out, err = chat("Hello\n", "--mode", "local", "--max-tokens", "20")
    assert (status, bool(out)) == (0, True)
    assert "target was not asked" in err


def test_a_bundle_without_a_template(chat, monkeypatch):
    monkeypatch.setattr(Bundle, "load", lambda *_: fake_bundle(chat=None))
    status, out, err = chat("Hello\n", *OPTIONS)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "has no chat template" in err


@pytest.mark.parametrize(
    ("lines", "options", "sentence"),
    [
        ("Hello\n", ("--max-tokens", "0"), "max-tokens"),
        ("Hello\n", ("--seed", "-1"), "seed"),
        ("Hello\n", ("--budget", "2"), "budget"),
        ("Hello\n", ("--system", "\udcff"), "not valid Unicode"),
        ("Hello\n", ("--token-file", "/nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(chat, transport, lines, options, sentence):
    status, out, err = chat(lines, *options)
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"edge-client: .*{sentence}.*\n", err)
    assert not transport.released


def test_a_line_that_is_no_text_is_told_of_and_the_next_is_read(chat):
    status, out, err = chat(b"\xff\xfe\nHello\n", *OPTIONS, "-q")
    assert (status, bool(out)) == (2, True)
    assert (
        err
        == "edge-client: standard input is UTF-16 text, not UTF-8; convert it first, as in: iconv -f UTF-16 -t UTF-8\n"
    )


def test_a_warning_is_told_once(chat, monkeypatch):
    monkeypatch.setattr(Bundle, "load", lambda *_: fake_bundle(target_fingerprint="another"))
    err = chat("Hello\nHello\n", "--max-tokens", "5", "--no-memory")[2]
    assert err.count("the verifier of the bundle fake was trained for") == 1
    assert chat("Hello\n", "--max-tokens", "5", "--no-memory", "-q")[2] == ""


@pytest.mark.parametrize(
    ("has_readline", "memory", "home", "editor", "history"),
    [
        (True, True, True, True, True),
        (True, False, True, True, False),
        (True, True, False, True, False),
        (False, True, True, False, False),
    ],
)
def test_what_is_typed_is_edited_and_remembered_where_that_can_be(
    monkeypatch, tmp_path, capsys, has_readline, memory, home, editor, history
):
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "readline", SimpleNamespace() if has_readline else None)
    made = []
    monkeypatch.setattr("edge_client.cli.chat.Typed", lambda *given: made.append(given))
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path))
    if not home:
        monkeypatch.setattr("edge_client.cli.chat.state_directory", raiser(InputError("there is no home")))
    turns_of(parse_args(["chat", *([] if memory else ["--no-memory"])]))
    [(_, *rest)] = made
    assert bool(rest and rest[0] is not None) == editor
    assert bool(rest[1:] and rest[1] is not None) == history
    assert ("not remembered" in capsys.readouterr().err) == (not home)


def raiser(error: Exception):
    def fail():
        raise error

    return fail
