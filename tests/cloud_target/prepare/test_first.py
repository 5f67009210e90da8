"""A first bundle of a long run: there early, usable, marked, and gone once the finished one is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_target.prepare import first, labels, pipeline
from cloud_target.prepare.pipeline import prepare
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.texts import TEXTS
from cloud_target.prepare.words import first as in_words
from edge_client.edge import Edge
from shared.errors import InputError
from shared.manifest import read_manifest
from tests.cloud_target.prepare.conftest import OWN_TOKENS, Finished
from tests.cloud_target.prepare.test_resume import FILES, assert_as_undisturbed, count_calls

pytestmark = pytest.mark.usefixtures("unsteered")

LEAST = 30  # tokens of a first bundle here, of 280


@pytest.fixture
def slow(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that writes next to nothing in ten minutes, so that a first bundle is as small as may be."""
    monkeypatch.setattr(first, "LEAST_TOKENS", LEAST)
    monkeypatch.setattr(first, "speed_of", lambda *_: 1e-6)


class Watch:
    """Hears what a run says, and looks at the bundle's place when there is a first one."""

    def __init__(self, out: Path) -> None:
        self.said: list[str] = []
        self.report: dict[str, Any] = {}
        self.name = ""
        self._out = out

    def __call__(self, line: str) -> None:
        self.said.append(line)
        if "going on" in line and self._out.exists():
            self.report = json.loads((self._out / "report.json").read_text(encoding="utf-8"))
            self.name = read_manifest(self._out).name
            assert Edge(bundle=self._out).generate([5, 6], max_tokens=4).usage.tokens > 0


@pytest.mark.slow
@pytest.mark.usefixtures("slow")
def test_the_finished_bundle_is_the_same_with_and_without_a_first_one(finished: Finished, tmp_path: Path) -> None:
    settings = replace(finished.settings, out=tmp_path / "bundle")
    watch = Watch(settings.out)
    report = prepare(settings, watch)
    rows = watch.report["first"]["rows"]
    assert 0 < rows == watch.report["rows"] < report["rows"]
    assert watch.name == watch.report["name"] == "tiny, a first one"
    assert watch.report["settings"] == report["settings"]
    told = f"  a first bundle, of {rows:,} of about {watch.report['first']['of about']:,} rows, is in {settings.out}; "
    assert told + "going on" in watch.said
    assert [line for line in watch.said if line.startswith("    ") and "/4" in line] == [
        f"    {step}/4 {title}"
        for step, title in enumerate(
            (
                "own text of the target",
                "rows: the draft's steps, and what the target says of them",
                "the verifier",
                "calibration, report and bundle",
            ),
            1,
        )
    ]
    assert_as_undisturbed(settings, finished)
    apart = {"command": "", "steered": []}  # where no device is steered here
    assert report | apart == finished.report | apart
    assert in_words(report) == ""


@pytest.mark.slow
@pytest.mark.usefixtures("slow")
def test_a_run_that_was_interrupted_keeps_its_first_bundle_and_what_it_had_of_it(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, kinds = replace(finished.settings, out=tmp_path / "bundle"), len(TEXTS) + 2
    with monkeypatch.context() as patch:
        count_calls(patch, labels, "label", 3)
        with pytest.raises(KeyboardInterrupt):
            prepare(settings)
    assert not settings.out.exists()
    with monkeypatch.context() as patch:
        count_calls(patch, labels, "label", kinds - 2 + 1)  # two were kept; then come those of the whole
        with pytest.raises(KeyboardInterrupt):
            prepare(settings)
    early = {name: (settings.out / name).read_bytes() for name in FILES}
    with monkeypatch.context() as patch:
        fitted = count_calls(patch, pipeline, "fit_heads", 1)
        with pytest.raises(KeyboardInterrupt):  # of the whole: the first bundle is there, and is not made again
            prepare(settings)
    assert fitted == [1]
    assert {name: (settings.out / name).read_bytes() for name in FILES} == early
    prepare(settings)
    assert_as_undisturbed(settings, finished)


@pytest.mark.slow
@pytest.mark.usefixtures("slow")
def test_a_first_bundle_that_cannot_be_made_ends_nothing(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, fit = replace(finished.settings, out=tmp_path / "bundle"), pipeline.fit_heads

    def fails_first(work: Any, documents: Any, own: Any, settings: Settings) -> Any:
        if settings.part < 1:
            raise InputError("too few rows")
        return fit(work, documents, own, settings)

    monkeypatch.setattr(pipeline, "fit_heads", fails_first)
    said: list[str] = []
    prepare(settings, said.append)
    assert "  there is no first bundle (too few rows); going on" in said
    assert_as_undisturbed(settings, finished)


class _Work:
    """A place for stages whose makers may not be called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def stage(self, *_: Any, **__: Any) -> None:
        raise AssertionError("nothing is to be tried")


def smaller(settings: Settings, work: Path) -> Settings | None:
    return first.smaller(_Work(work), None, None, None, settings, print)  # type: ignore[arg-type]


def test_no_first_bundle_where_it_is_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "LEAST_TOKENS", LEAST)
    long = Settings("target", "draft", (), tmp_path / "bundle", own_tokens=OWN_TOKENS)
    assert smaller(replace(long, first_after=0), tmp_path) is None
    assert smaller(replace(long, own_tokens=LEAST), tmp_path) is None  # a short run
    (tmp_path / "there").mkdir()
    assert smaller(replace(long, out=tmp_path / "there"), tmp_path) is None
    (tmp_path / "heads").mkdir()
    assert smaller(long, tmp_path) is None  # nearly over
