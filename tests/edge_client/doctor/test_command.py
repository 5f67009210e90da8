"""`edge-client doctor` without a target: the configuration, and this device alone."""

from __future__ import annotations

import re

import pytest

from edge_client.cli import main as cli


def test_without_a_target_the_device_alone_is_examined(capsys, monkeypatch, tmp_path):
    assert cli.main(["doctor"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert all(line[:5] in ("ok   ", "warn ") for line in lines)
    assert last.endswith("0 failed: texts can be written by this device alone; --target examines one")
    config = tmp_path / "tandem.toml"
    config.write_text('target = "127.0.0.1:1"\n')
    config.chmod(0o666)
    monkeypatch.setenv("TANDEM_CONFIG", str(config))
    monkeypatch.setenv("TANDEM_TARGE", "slip:1")
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "warn configuration: TANDEM_TARGE is set, and nothing reads it; did you mean TANDEM_TARGET?" in out
    assert f"warn configuration: others can write to {config}" in out
    assert "fail reach: no connection to 127.0.0.1:1" in out


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TANDEM_MAX_TOKENS", "abc", "whole number"),
        ("TANDEM_MODE", "foo", "one of sprint"),
        ("TANDEM_SEED", "x", "whole number"),
    ],
)
def test_a_value_that_keeps_texts_from_being_written_is_found(capsys, monkeypatch, name, value, sentence):
    """Though the doctor itself has no such option."""
    monkeypatch.setenv(name, value)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert re.search(rf"^fail configuration: edge-client generate cannot begin: {name}.*{sentence}", out, re.MULTILINE)
    assert "texts cannot be written as they should" in out


@pytest.mark.parametrize("text", ["target =", "nothing = 1", 'budget = "much"', "[generate]\nbudget = 3"])
def test_a_configuration_that_cannot_be_read_is_found_and_the_rest_examined(capsys, monkeypatch, tmp_path, text):
    config = tmp_path / "tandem.toml"
    config.write_text(f"{text}\n")
    monkeypatch.setenv("TANDEM_CONFIG", str(config))
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr()
    assert re.search(rf"^fail configuration: edge-client \w+ cannot begin: .*{config}", said.out, re.MULTILINE)
    assert "\nok   " in said.out
    assert said.err == ""


def test_settings_that_no_text_can_have(capsys):
    assert cli.main(["doctor", "--budget", "2"]) == 2
    assert capsys.readouterr().err.endswith("not 2.0 (--budget)\n")
