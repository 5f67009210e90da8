"""Every option of `serve` may stand in a file and in the environment, and its value is told with where it came from."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_target import cli
from cloud_target.server.configuration import CLOUD, COMMANDS, configure
from cloud_target.server.options import read_settings
from shared.configuration.options import key_of, takes_several
from shared.configuration.origin import Source
from shared.errors import InputError
from tests.project.tree import ROOT

OPTIONS = [action for action in COMMANDS.parsers["serve"]()._actions]
# What options take, as text: of each as many as fit.
CANDIDATES = (
    "3",
    "7",
    "5",
    "2MiB",
    "4MiB",
    "a",
    "b",
    "c",
    "http://a:1",
    "http://b:1",
    "http://c:1",
    "a=b",
    "a=c",
    "a=d",
)


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "serve.toml"
    monkeypatch.setenv(CLOUD.variable, str(path))
    path.write_text("")
    return path


def configured(*words: str) -> argparse.Namespace:
    return configure(cli.parse_args(["serve", *words]))


def values(action: argparse.Action) -> list[str]:
    """Three texts that an option takes; of a switch, two."""
    if action.nargs == 0:
        return ["1", "0", "1"]
    found = []
    for text in action.choices or CANDIDATES:
        try:
            COMMANDS.parsers["serve"]()._get_value(action, text)
            found.append(text)
        except argparse.ArgumentError:
            pass
    return (found * 3)[:3]


def as_toml(action: argparse.Action, text: str) -> str:
    return ("true" if text == "1" else "false") if action.nargs == 0 else json.dumps(text)


def as_flag(action: argparse.Action, text: str) -> list[str]:
    key = key_of(action)
    off = f"--{key.removeprefix('no-')}" if key.startswith("no-") else f"--no-{key}"
    return ([f"--{key}"] if text == "1" else [off]) if action.nargs == 0 else [f"--{key}", text]


def expected(action: argparse.Action, text: str) -> object:
    if action.nargs == 0:
        return text == "1"
    value: object = COMMANDS.parsers["serve"]()._get_value(action, text)
    return [value] if takes_several(action) else value


def test_no_option_is_left_out():
    assert len(OPTIONS) > 25
    for action in OPTIONS:
        assert key_of(action), f"{action.option_strings} can stand in no file; see shared/configuration/options.py"


@pytest.mark.parametrize("action", OPTIONS, ids=[str(key_of(action)) for action in OPTIONS])
def test_flags_go_before_the_environment_and_that_before_the_file(config, monkeypatch, action):
    key, (in_file, in_environment, on_line) = key_of(action), values(action)

    def found(*words: str) -> tuple[object, str]:
        options = configured(*words)
        return getattr(options, action.dest), str(options.origins[action.dest])

    usual = COMMANDS.parsers["serve"]().get_default(action.dest)
    assert found() == (usual, "default")
    config.write_text(f"\n{key} = {as_toml(action, in_file)}\n")
    value = expected(action, in_file)
    assert found() == (config.parent / value if isinstance(value, Path) else value, f"{key} in {config}, line 2")
    variable = f"TANDEM_SERVE_{key.upper().replace('-', '_')}"
    monkeypatch.setenv(variable, in_environment)
    assert found() == (expected(action, in_environment), f"{variable} in the environment")
    flag = as_flag(action, on_line)
    assert found(*flag) == (expected(action, on_line), flag[0])
    monkeypatch.setenv(variable, "")  # as good as none
    assert configured().origins[action.dest].source is Source.FILE


def test_what_is_configured_arrives_in_the_settings(config, monkeypatch):
    config.write_text(
        'kv-memory = "2MiB"\nmetrics-port = 9464\n[serve]\nno-prefix-caching = true\ntarget = "./model"\n'
    )
    monkeypatch.setenv("TANDEM_SERVE_LIMITS", "calls=2")
    settings = read_settings(configured("--port", "7"))
    assert (settings.engine.kv_memory, settings.telemetry.metrics_port, settings.port) == (2 << 20, 9464, 7)
    assert (settings.prefix_caching, settings.access.limits) == (False, "calls=2")
    assert settings.engine.target == str(config.parent / "model"), "beside the file"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("prot = 1", r"prot in .*serve\.toml, line 1: there is no such option; did you mean port\?"),
        (
            "[serve]\nkv_memory = 1",
            r"line 2: there is no such option of `cloud-target serve`; did you mean kv-memory\?",
        ),
        ("[bench]\nport = 1", r"line 1: there is no such command"),
        ("port = 70000", r"port in .*serve\.toml, line 1: must be a whole number from 0 to 65535, not '70000'"),
        ("insecure-bind = 1", r"line 1: must be true or false, not 1"),
        ("port =", r"serve\.toml is no TOML"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(config, text, match):
    config.write_text(text)
    with pytest.raises(InputError, match=match):
        configured()


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("TANDEM_SERVE_POTR", "1", r"TANDEM_SERVE_POTR is set .* nothing reads it; did you mean TANDEM_SERVE_PORT\?"),
        ("TANDEM_SERVE_QQQ", "1", r"TANDEM_SERVE_QQQ is set .* nothing reads it; unset it"),
        ("TANDEM_SERVE_PORT", "tcp://10.0.0.1:50051", r"TANDEM_SERVE_PORT in the environment: must be a whole number"),
        ("TANDEM_SERVE_INSECURE_BIND", "maybe", r"must be 1 or 0, not 'maybe'"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(config, monkeypatch, name, value, match):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=match):
        configured()


def test_serve_and_doctor_run_with_it(config, capsys):
    config.write_text('host = "0.0.0.0"\n')
    assert cli.main(["serve"]) == 2
    assert "refusing to listen on 0.0.0.0" in capsys.readouterr().err
    config.write_text('tokens = "nothing-there"\n')
    assert cli.main(["serve"]) == 2
    assert f"cannot read {config.parent}/nothing-there" in capsys.readouterr().err
    config.write_text("kv-memory = 1\nthreads = 0\n")
    assert cli.main(["doctor"]) == 2
    assert f"threads in {config}, line 2: must be a whole number of 1 or more" in capsys.readouterr().err
    assert cli.main(["doctor", "--address", "127.0.0.1:1"]) == 1, "which has nothing to do with the file"
    assert "127.0.0.1:1" in capsys.readouterr().out


def test_what_is_shown(config, monkeypatch, capsys):
    config.write_text('kv-memory = "2MiB"\n')
    secret = f"tandem_{'0' * 16}_{'A' * 43}"
    monkeypatch.setenv("TANDEM_SERVE_TOKENS", secret)
    assert cli.main(["config", "show", "--port", "7"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"file: {config}"
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert len(rows) == len(OPTIONS)
    assert rows["port"] == ["7", "--port"]
    assert rows["kv-memory"] == ["2097152", f"kv-memory in {config}, line 1"]
    assert rows["host"] == ['"127.0.0.1"', "default"]
    assert rows["context"] == ["-", "default: the model's own, at most 4096"]
    assert rows["bundle"] == rows["limits"] == ["-", "not set"]
    assert secret not in "".join(lines)
    assert cli.main(["config", "show", "--json"]) == 0
    text = capsys.readouterr().out
    assert secret not in text
    options = json.loads(text)["options"]
    assert options["kv-memory"] == {
        "value": 2 << 20,
        "source": "file",
        "name": "kv-memory",
        "file": str(config),
        "line": 1,
        "variable": "TANDEM_SERVE_KV_MEMORY",
    }
    assert options["tokens"]["source"] == "environment"
    assert (options["context"]["value"], options["context"]["words"]) == (None, "the model's own, at most 4096")


def test_the_file_that_the_page_shows_can_be_used(config):
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    config.write_text(shown)
    settings = read_settings(configured())
    assert settings.engine.target == str(config.parent / "my-model")
    assert settings.access.tokens == config.parent / "tokens.txt"
    assert not settings.prefix_caching


def test_what_no_server_could_run_with_is_not_shown(config, capsys):
    config.write_text("drain-seconds = -1\n")
    assert cli.main(["config", "show"]) == 2
    assert f"drain-seconds in {config}, line 1: must be between 0 and 86400" in capsys.readouterr().err


def test_where_the_file_is(config, capsys):
    assert cli.main(["config", "path"]) == 0
    assert capsys.readouterr() == (f"{config}\n", "")
    config.unlink()
    assert cli.main(["config", "path"]) == 0
    assert capsys.readouterr().err == "cloud-target: there is no such file yet\n"


@pytest.mark.slow
def test_it_is_quick_and_needs_no_model(tmp_path):
    """From outside, where a user's own file is looked for."""
    home = tmp_path / ".config" / "tandem"
    home.mkdir(parents=True)
    (home / "cloud-target.toml").write_text("port = 7\n")
    program = (
        "import sys; from cloud_target import cli\n"
        "status = cli.main(['config', 'show'])\n"
        "assert not {'torch', 'grpc', 'transformers'} & {*sys.modules}; sys.exit(status)"
    )
    clean = {name: value for name, value in os.environ.items() if name not in (CLOUD.variable, "XDG_CONFIG_HOME")}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=clean | {"HOME": str(tmp_path)})
    assert run.returncode == 0, run.stderr
    assert f"port in {home}/cloud-target.toml, line 1" in run.stdout
