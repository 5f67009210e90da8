"""Files of the report: whole, or as they were; and figures that can be read back."""

from __future__ import annotations

import json

import pytest

from benchmarks.peers.rows import Row
from benchmarks.report.asker import Point
from benchmarks.report.figures import Figures
from benchmarks.report.files import report_files, write_files
from benchmarks.report.run import Results
from tests.benchmarks.report.made import made_figures

ROW = Row("home", 25.0, "AutoDraft", "not installed")


def test_files_and_folders_are_made_and_nothing_else(tmp_path) -> None:
    write_files(tmp_path, {"page.md": "text", "plots/one.svg": "<svg/>"})
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"page.md": "text", "plots/one.svg": "<svg/>"}


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path) -> None:
    (tmp_path / "page.md").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_files(tmp_path, {"page.md": "half of it \ud800"})
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
    assert (tmp_path / "page.md").read_text() == "old"


def test_figures_can_be_read_back() -> None:
    results = Results(
        [made_figures(edge_peak_mb=None)], {"chance": [Point(0.1, 0.2, 0.3, 0.4)]}, [], "draft", "target", [ROW]
    )
    files = report_files(results, {"benchmarks.md": "page"})
    assert files["benchmarks.md"] == "page"
    found = json.loads(files["benchmarks/figures.json"])
    assert [Figures(**one) for one in found["figures"]] == results.figures
    assert [Row(**one) for one in found["peers"]] == [ROW]
    assert {name: [Point(**one) for one in curve] for name, curve in found["curves"].items()} == results.curves
