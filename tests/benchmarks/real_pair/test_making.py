"""Draft and bundle are made by the commands that everybody has, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.real_pair.making import make
from shared.errors import TandemError
from shared.manifest import FILES

ASK = ["--layers", "2"], ["--dtype", "auto"]


@pytest.fixture
def commands(monkeypatch) -> list[list[str]]:
    """The words of every command that is begun; each writes what it would."""
    begun: list[list[str]] = []

    def run(words: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        begun.append(words)
        out = Path(words[words.index("--out") + 1])
        out.mkdir(parents=True)
        for name in ("agreement.md",) if "distil" in words else FILES:
            (out / name).touch()
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return begun


def test_a_draft_then_a_bundle_and_neither_again(tmp_path, commands):
    assert make("some/target", tmp_path, *ASK, lambda _: None) == tmp_path / "bundle"
    head = [sys.executable, "-m", "cloud_target"]
    assert commands == [
        [*head, "distil", "--target", "some/target", "--chat", "--out", str(tmp_path / "draft"), "--layers", "2"],
        [
            *[*head, "prepare", "--target", "some/target", "--draft", str(tmp_path / "draft"), "--chat"],
            *["--out", str(tmp_path / "bundle"), "--dtype", "auto"],
        ],
    ]
    make("some/target", tmp_path, *ASK, lambda _: None)
    assert len(commands) == 2


def test_a_draft_that_is_not_finished_goes_on(tmp_path, commands):
    (tmp_path / "draft.work").mkdir()
    make("some/target", tmp_path, *ASK, lambda _: None)
    assert [words[3] for words in commands] == ["distil", "prepare"]


def test_a_command_that_fails_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda words, check: subprocess.CompletedProcess(words, 2))
    with pytest.raises(TandemError, match="`cloud-target distil` ended with status 2"):
        make("some/target", tmp_path, *ASK, lambda _: None)
