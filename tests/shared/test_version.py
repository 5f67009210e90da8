"""The version has one home, and costs nothing until it is asked for."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import metadata

import pytest

from cloud_target.cli import main
from shared import version as module
from shared.version import DISTRIBUTION, add_version_option, version
from tests.project.tree import ROOT, pyproject


def test_it_is_the_projects() -> None:
    assert pyproject()["project"]["name"] == DISTRIBUTION
    assert version() == metadata.version(DISTRIBUTION)


def test_without_an_installation_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISTRIBUTION", "tandem-that-nobody-installed")
    assert version() == "unknown"


def test_the_option_prints_name_and_version_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="tandem")
    add_version_option(parser)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"tandem {version()}\n"
    assert vars(parser.parse_args([])) == {}


def test_the_target_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"cloud-target {version()}\n"


@pytest.mark.slow
def test_nothing_is_looked_up_before_it_is_asked_for() -> None:
    program = "import sys, shared.version; print('importlib.metadata' in sys.modules)"
    run = subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
