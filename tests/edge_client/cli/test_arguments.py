"""What the command line understands, as people type it."""

from __future__ import annotations

import pytest

from edge_client.cli.arguments import parse_args


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--bundle", "b", "info"], "info"),
        (["--bundle=b", "info", "--json"], "info"),
        (["--bundle", "b", "verifier", "report"], "verifier report"),
        (["--bundle", "b", "verifier", "reset"], "verifier reset"),
        (["--seed", "3", "generate", "info"], "generate"),
        (["--json", "info", "--bundle", "b"], "info"),
        (["--bundle", "b", "verifier", "--json", "report"], "verifier report"),
        (["verifier", "--bundle", "b", "report", "--json"], "verifier report"),
        (["verifier", "--bundle=b", "reset"], "verifier reset"),
        (["--json", "verifier", "--bundle", "b", "report"], "verifier report"),
    ],
)
def test_options_may_stand_anywhere_around_the_command(arguments, command):
    options = parse_args(arguments)
    assert options.command == command
    assert command == "generate" or str(options.bundle) == "b"
    assert command == "generate" or getattr(options, "json", False) is ("--json" in arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--mode", "local", "verifier", "report"], "unrecognized arguments: --mode local"),
        (["verifier", "--json"], "the following arguments are required: report|reset"),
        (["verifier", "--json", "reset"], "unrecognized arguments: --json"),
        (["--bundle", "b", "verifier", "repot"], "invalid choice: 'repot'"),
        (["info", "--seed", "3"], "unrecognized arguments: --seed 3"),
        (["info", "--bundle"], "expected one argument"),
    ],
)
def test_options_that_a_command_does_not_know_are_named(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_args(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_what_only_looks_like_a_command_is_a_prompt():
    assert parse_args(["--bundle", "info", "Tom"]).prompt == "Tom"
    assert parse_args(["--", "info"]).prompt == "info"
    assert parse_args(["--stop", "info"]).prompt is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(r"\n", "\n"), (r"a\tb\r", "a\tb\r"), (r"\\n", r"\n"), ("\n", "\n"), (r"\d", r"\d"), ("\\", "\\"), ("é", "é")],
)
def test_escapes_in_stop_strings(typed, meant):
    assert parse_args(["--stop", typed, "Tom"]).stop == [meant]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prefer", "cost"], "--prefer is about the choice that only --mode auto makes"),
        (["--mode", "exact", "--explain"], "--explain is about the choice that only --mode auto makes"),
        (["--mode", "auto", "--coupling", "residual"], "needs --coupling gumbel"),
        (["--mode", "auto", "--learn", "--budget", "0"], "with a --budget above 0"),
        (["--mode", "auto", "--prefer", "money"], "invalid choice: 'money'"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_args([*arguments, "Tom"])
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


def test_several_words_get_a_hint(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_args(["--seed", "3", "Once", "upon", "a", "time"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert 'a prompt of several words goes in quotes, as in: edge-client "Once upon a time"' in said
    with pytest.raises(SystemExit):
        parse_args(["Once", "--frobnicate"])
    assert "unrecognized arguments: --frobnicate" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_args(["--frobnicate", "0.1", "Once"])  # the value is read as the prompt, and the prompt as one word more
    assert "unrecognized arguments: --frobnicate;" in capsys.readouterr().err


def test_paths_understand_the_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("TANDEM_CA", "~/ca.pem")
    options = parse_args(["--bundle=~/b", "Tom"])
    assert (str(options.bundle), str(options.ca)) == ("/somewhere/b", "/somewhere/ca.pem")


def test_a_machine_that_is_local_only_writes_alone(monkeypatch):
    for value, mode in (("1", "local"), ("0", "sprint"), ("", "sprint")):
        monkeypatch.setenv("TANDEM_LOCAL_ONLY", value)
        assert parse_args(["Tom"]).mode == parse_args(["serve"]).mode == mode
