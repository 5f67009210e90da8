"""`edge-client config`: what it shows, and what it never does."""

from __future__ import annotations

import json
import os

import pytest

from edge_client.cli import main as cli


@pytest.fixture
def config(monkeypatch, tmp_path, capsys):
    """Runs `edge-client config` with a file of this text; gives the exit status, and what it wrote to both streams."""
    path = tmp_path / "tandem.toml"
    monkeypatch.setenv("TANDEM_CONFIG", str(path))

    def run(text: str, *words: str) -> tuple[int, str, str]:
        path.write_text(text)
        status = cli.main(["config", *words])
        return status, *capsys.readouterr()

    return run


def test_every_value_has_its_origin(config, monkeypatch, tmp_path):
    monkeypatch.setenv("TANDEM_TOP_P", "80%")
    status, out, err = config('budget = "2%"\n[chat]\nca = "ca.pem"\n', "show", "chat", "--mode", "auto", "--no-tls")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert (status, err) == (0, "")
    assert lines["file:"] == f"file: {tmp_path}/tandem.toml"
    assert lines["budget"].split()[1:] == ["0.02", "budget", "in", f"{tmp_path}/tandem.toml,", "line", "1"]
    assert lines["ca"].split()[1:4] == [f'"{tmp_path}/ca.pem"', "chat.ca", "in"]
    assert lines["top-p"].split()[1:] == ["0.8", "TANDEM_TOP_P", "in", "the", "environment"]
    assert lines["mode"].split()[1:] == ['"auto"', "--mode"]
    assert lines["tls"].split()[1:] == ["false", "--no-tls"]
    assert lines["temperature"].split()[1:] == ["0.7", "default"]
    assert lines["window"].split(maxsplit=2)[1:2] == ["-"]
    assert lines["window"].endswith("  default: 32; in exact 64, with the residual coupling 8")
    assert f"TANDEM_CONFIG={tmp_path}/tandem.toml: " in out


def test_as_json(config, tmp_path):
    status, out, _ = config('target = "gpu:1"\n', "show", "--json", "doctor")
    found = json.loads(out)
    assert (status, found["command"], found["file"]["exists"]) == (0, "doctor", True)
    assert found["options"]["target"] == {
        "value": "gpu:1",
        "source": "file",
        "name": "target",
        "file": f"{tmp_path}/tandem.toml",
        "line": 1,
        "variable": "TANDEM_TARGET",
    }
    assert found["environment"]["TANDEM_STATE"] == os.environ["TANDEM_STATE"]


def test_secrets_are_not_shown_and_slips_are_told(config, monkeypatch):
    monkeypatch.setenv("TANDEM_TOKEN", "very-secret")
    monkeypatch.setenv("TANDEM_API_KEY", "very-secret")
    monkeypatch.setenv("TANDEM_BUGDET", "0.1")
    monkeypatch.setenv("TANDEM_LOCAL_ONLY", "1")
    _, out, err = config("", "show")
    assert "very-secret" not in out + err
    assert "TANDEM_TOKEN=(set): the token" in out
    assert "TANDEM_LOCAL_ONLY=1: 1: this machine writes alone" in out
    assert err == "edge-client: warning: TANDEM_BUGDET is set, and nothing reads it; did you mean TANDEM_BUDGET?\n"


def test_what_stands_in_a_file_is_not_told_as_a_flag(config):
    status, _, err = config("budget = 7\n", "show")
    assert (status, "not 7.0 (budget in /" in err, err.endswith("tandem.toml, line 1)\n")) == (2, True, True)
    status, _, err = config("", "show", "--budget", "7")
    assert (status, err.endswith("not 7.0 (--budget)\n")) == (2, True)


def test_what_the_file_says_of_other_commands_must_make_sense_too(config):
    status, _, err = config('[serve]\nport = "http"\n', "show")
    assert (status, "serve.port in" in err) == (2, True)


def test_the_path_can_be_asked_for_whatever_stands_there(config, tmp_path, monkeypatch, capsys):
    assert config("= broken", "path") == (0, f"{tmp_path}/tandem.toml\n", "")
    monkeypatch.setenv("TANDEM_CONFIG", str(tmp_path / "none"))
    assert cli.main(["config", "path"]) == 0
    assert capsys.readouterr() == (f"{tmp_path}/none\n", "edge-client: there is no such file yet\n")


@pytest.mark.parametrize(
    "words", [["show", "nothing"], ["path", "--json"], ["paht"], [], ["show", "--frobnicate"], ["show", "chat", "x"]]
)
def test_what_makes_no_sense_is_refused_in_one_sentence(config, words, capsys):
    with pytest.raises(SystemExit) as stop:
        config("", *words)
    assert (stop.value.code, len(capsys.readouterr().err.splitlines())) == (2, 1)


def test_controls_do_not_reach_the_terminal(config):
    _, out, _ = config('target = "\\u001b[31mred"\n', "show")
    assert "\x1b" not in out


def test_the_environment_goes_before_a_token_file_of_the_file(monkeypatch, tmp_path):
    from edge_client.cli.arguments import parse_args
    from edge_client.cli.options import read_credentials

    (tmp_path / "my.token").write_text("from-file")
    (tmp_path / "tandem.toml").write_text('token-file = "my.token"\n')
    monkeypatch.setenv("TANDEM_CONFIG", str(tmp_path / "tandem.toml"))
    assert read_credentials(parse_args(["x"])).token == "from-file"
    monkeypatch.setenv("TANDEM_TOKEN", "from-environment")
    assert read_credentials(parse_args(["x"])).token == "from-environment"
    assert read_credentials(parse_args(["--token-file", str(tmp_path / "my.token"), "x"])).token == "from-file"


def test_nobodys_own_configuration_counts_in_tests():
    ours = {name for name in os.environ if name.startswith("TANDEM_")}
    assert ours <= {"TANDEM_CONFIG", "TANDEM_SERVE_CONFIG", "TANDEM_STATE", "TANDEM_BUNDLES", "TANDEM_COMPOSE_SCHEMA"}
    assert os.environ["TANDEM_CONFIG"] == os.devnull
