"""A run that was interrupted goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_target.prepare import labels, pipeline, texts
from cloud_target.prepare.pipeline import prepare
from cloud_target.prepare.settings import Settings
from cloud_target.training.label import Rows
from cloud_target.training.work import Work
from shared.errors import InputError
from shared.manifest import read_manifest
from tests.cloud_target.prepare.conftest import Finished

pytestmark = pytest.mark.usefixtures("unsteered")

FILES = ("draft.onnx", "verifier.onnx", "tokenizer.json", "manifest.json")


def assert_as_undisturbed(settings: Settings, finished: Finished) -> None:
    for name in FILES:
        assert (settings.out / name).read_bytes() == (finished.out / name).read_bytes()


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("this was done already")


def count_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, fail_at: int | None = None) -> list[int]:
    """Replace a function by itself, counted; call number `fail_at` is interrupted."""
    calls, function = [0], getattr(module, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == fail_at:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, counted)
    return calls


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(finished: Finished, tmp_path: Path):
    settings = replace(finished.settings, out=tmp_path / "bundle")
    for module, name, fail_at in ((texts, "write_own_text", 5), (labels, "label", 3), (pipeline, "make_bundle", 1)):
        with pytest.MonkeyPatch.context() as patch:
            if name == "make_bundle":  # the draft's stage is finished: this is the last one
                patch.setattr(texts, "write_own_text", refuse)
            count_calls(patch, module, name, fail_at)
            with pytest.raises(KeyboardInterrupt):
                prepare(settings)
        assert not settings.out.exists()
        assert not list(settings.workplace.glob(".*.tmp"))
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((texts, "write_own_text"), (labels, "label")):
            patch.setattr(module, name, refuse)
        said: list[str] = []
        prepare(settings, said.append)
    assert said.count("  finished stages of an earlier run are kept") == 5
    assert_as_undisturbed(settings, finished)


@pytest.mark.slow
def test_what_a_killed_run_left_half_made_is_cleared_away(finished: Finished, tmp_path: Path):
    settings = replace(finished.settings, out=tmp_path / "bundle")
    left = settings.workplace / ".own-train-t1-p1.123.tmp"
    left.mkdir(parents=True)
    (left / "own.npz").write_bytes(b"half of it")
    prepare(settings)
    assert not left.exists()
    assert_as_undisturbed(settings, finished)


@pytest.mark.slow
def test_other_settings_redo_what_they_change_and_nothing_else(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    work = shutil.copytree(finished.settings.workplace, tmp_path / "work")
    monkeypatch.setattr(texts, "write_own_text", refuse)
    labelled = count_calls(monkeypatch, labels, "label")
    said: list[str] = []
    prepare(replace(finished.settings, rows=400, out=tmp_path / "bundle", work=work), said.append)
    assert "  made anew: rows changed from 100 to 133" in said
    assert labelled[0] == 5  # four texts to train on, and the corpus; not those that calibrate and check


@pytest.mark.slow
def test_another_name_redoes_nothing(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(texts, "write_own_text", refuse)
    monkeypatch.setattr(labels, "label", refuse)
    work = finished.settings.workplace
    changed = replace(finished.settings, name="renamed", dtype="float32", out=tmp_path / "bundle", work=work)
    said: list[str] = []
    prepare(changed, said.append)
    assert not [line for line in said if "made anew" in line]
    assert read_manifest(tmp_path / "bundle").name == "renamed"


@pytest.mark.slow
def test_a_full_disk_costs_the_stage_at_hand_only(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = replace(finished.settings, out=tmp_path / "bundle")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Rows, "save", full)
        with pytest.raises(InputError, match=r"No space left on device.*finished stages are kept"):
            prepare(settings)
    monkeypatch.setattr(texts, "write_own_text", refuse)
    prepare(settings)
    assert_as_undisturbed(settings, finished)


def test_two_runs_do_not_share_a_directory(tmp_path: Path):
    with Work.open(tmp_path, 1, print), pytest.raises(InputError, match="another run"), Work.open(tmp_path, 1, print):
        pass


def test_a_stage_is_made_once_for_the_same_things(tmp_path: Path):
    made: list[str] = []

    def make(directory: Path) -> None:
        made.append(directory.name)
        (directory / "x").write_text("done")

    said: list[str] = []
    with Work.open(tmp_path, 3, said.append) as work:
        work.begin("something")
        first = work.stage("a", {"n": 1}, make)
        assert work.stage("a", {"n": 1}, make) == first
        second = work.stage("b", {}, make, [first])
        assert work.stage("a", {"n": 2}, make) != first
        assert work.stage("b", {}, make, [work.stage("a", {"n": 2}, make)]) != second
    assert len(made) == 4
    assert (second / "x").read_text() == "done"
    assert said[0] == "1/3 something"
    assert "  made anew: n changed from 1 to 2" in said
    assert "  made anew: a changed" in said
    (tmp_path / "a" / "stage.json").write_text("{ damaged")
    with Work.open(tmp_path, 1, said.append) as work:
        work.stage("a", {"n": 2}, make)
    assert len(made) == 5


@pytest.mark.slow
@pytest.mark.parametrize("left", [0.0, 0.5])
@pytest.mark.parametrize("file", ["documents/train.npz", "own-train-t1-p1/own.npz", "rows-train-t1-p1/rows.npz"])
def test_a_damaged_stage_is_named_and_made_anew_once_it_is_removed(
    finished: Finished, tmp_path: Path, file: str, left: float
):
    settings = replace(finished.settings, out=tmp_path / "bundle", work=tmp_path / "work")
    shutil.copytree(finished.settings.workplace, settings.work)
    for later in ("rows-train-t1-p1", "heads")[file.startswith("rows") :]:
        shutil.rmtree(settings.work / later)
    path = settings.work / file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(InputError, match=rf"cannot read .*{re.escape(str(path))}.*; remove it and run again"):
        prepare(settings)
    path.unlink()
    said: list[str] = []
    prepare(settings, said.append)
    assert f"  made anew: {file} is gone" in said
    assert path.read_bytes() == whole
    assert_as_undisturbed(settings, finished)


def test_a_stage_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: set[int] = set()
    missing: list[list[str]] = []
    rename = Path.rename

    def renamed(path: Path, target: Path) -> Path:
        missing.append([p.name for p in (path, *path.rglob("*")) if p.stat().st_ino not in synced])
        return rename(path, target)

    def make(directory: Path) -> None:
        (directory / "x").write_text("done")
        (directory / "deep").mkdir()
        (directory / "deep" / "y").write_text("done")

    monkeypatch.setattr(os, "fsync", lambda number: synced.add(os.fstat(number).st_ino))
    monkeypatch.setattr(Path, "rename", renamed)
    with Work.open(tmp_path, 1, print) as work:
        work.stage("a", {}, make)
    assert missing == [[]]
    assert len(synced) == 5
