"""A value that no server can run with is refused by the place where it stands: for every option, wherever that is."""

from __future__ import annotations

import argparse
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from cloud_target import cli
from cloud_target.server.configuration import CLOUD, COMMANDS
from shared.configuration.options import key_of

OPTIONS = {str(key_of(action)): action for action in COMMANDS.parsers["serve"]()._actions}
TEXTS = [key for key, action in OPTIONS.items() if action.nargs != 0]
MAY_BE_EMPTY = {"limits"}
# Of the right kind, and still of no use; what else the file must say for that.
USELESS: dict[str, tuple[str, str]] = {
    "host": ('"198.51.100.1"', ""),
    "port": ("9464", "metrics-port = 9464"),
    "metrics-port": ("50051", ""),
    "metrics-host": ('"198.51.100.1"', "metrics-port = 0"),
    "drain-seconds": ("-1", ""),
    "pass-seconds": ("0", ""),
    "session-idle": ("0", ""),
    "connections": ("1000000000", ""),
    "connection-streams": ("3000000000", ""),
    "connection-idle": ("0", ""),
    "connection-age": ("-1", ""),
    "connection-grace": ("inf", ""),
    "connection-silence": ("-1", ""),
    "request-size": ('"4GiB"', ""),
    "tls-cert": ('"nothing.pem"', 'tls-key = "nothing.key"'),
    "tls-key": ('"nothing.key"', ""),
    "client-ca": ('"nothing.pem"', 'tls-cert = "nothing.pem"\ntls-key = "nothing.key"'),
    "tokens": ('"nothing.txt"', ""),
    "limits": ('"calls=many"', ""),
    "bundle": ('"nothing"', ""),
    "lora": ('"poet=nothing"', ""),
}
# These are seen where the model is loaded.
LOADED: dict[str, tuple[str, str]] = {
    "target": ('"./nothing"', ""),
    "engine": ('"vllm"', ""),
    "device": ('"cuda"', ""),
    "kv-memory": ('"900TiB"', ""),
    "context": ("100000000", ""),
    "threads": ("100000", ""),
}
# A value of the right kind is always of use.
NEVER_USELESS = {
    "insecure-bind",
    "dtype",
    "no-prefix-caching",
    "bundle-fetches",
    "log-format",
    "log-level",
    "otlp-traces-endpoint",
}


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "serve.toml"
    monkeypatch.setenv(CLOUD.variable, str(path))
    return path


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of it, in one line; of what else happened before, nothing."""
    try:
        status = cli.main(words)
    except SystemExit as end:
        status = end.code
    assert status == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("cloud-target: ")
    return said[-1]


def wrong_kind(action: argparse.Action) -> str:
    return '"yes"' if action.nargs == 0 else '["a", "b"]'


def test_no_option_is_left_out():
    assert {*USELESS, *LOADED, *NEVER_USELESS} == {*OPTIONS}


@pytest.mark.parametrize("key", TEXTS)
def test_an_empty_value_is_refused_where_it_cannot_be_empty(config, capsys, key):
    config.write_text(f'\n{key} = ""\n')
    for words in (("config", "show"), ("serve",), ("doctor",)):
        if key in MAY_BE_EMPTY:
            config.write_text(f'{key} = ""\nport = -1\n')
            assert "port in" in refusal(capsys, *words), "which comes after it"
        else:
            assert f"{key} in {config}, line 2: must " in refusal(capsys, *words)
    config.write_text("")
    if key not in MAY_BE_EMPTY:
        assert re.search(rf"argument --{key}: .*must", refusal(capsys, "serve", f"--{key}", ""))


@pytest.mark.parametrize("key", OPTIONS)
def test_a_value_of_the_wrong_kind_is_refused(config, capsys, key):
    config.write_text(f"[serve]\n{key} = {wrong_kind(OPTIONS[key])}\n")
    assert f"serve.{key} in {config}, line 2: must be " in refusal(capsys, "config", "show")


@pytest.mark.parametrize("key", USELESS)
def test_where_a_useless_value_stands_is_told(config, monkeypatch, capsys, key):
    tell_everywhere(config, monkeypatch, capsys, key, *USELESS[key])


@pytest.mark.slow
@pytest.mark.parametrize("key", LOADED)
def test_where_a_value_stands_that_is_useless_for_the_model_is_told(config, monkeypatch, capsys, key):
    import torch

    if (key == "device" and torch.cuda.is_available()) or (key == "engine" and find_spec("vllm")):
        pytest.skip("it is of use here")
    tell_everywhere(config, monkeypatch, capsys, key, *LOADED[key])


def tell_everywhere(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, value: str, more: str
) -> None:
    """The same value in the file, in the environment, and on the command line."""
    config.write_text(f"\n{key} = {value}\n{more}\n")
    assert f"{key} in {config}, line 2" in refusal(capsys, "serve")
    config.write_text(f"{more}\n")
    text = json.loads(value) if value.startswith('"') else value
    with monkeypatch.context() as changed:
        changed.setenv(CLOUD.variable_of(key), text)
        assert f"{CLOUD.variable_of(key)} in the environment" in refusal(capsys, "serve")
    assert f"--{key}" in refusal(capsys, "serve", f"--{key}", text)
