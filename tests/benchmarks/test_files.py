"""What a benchmark writes beside the terminal."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

from benchmarks.files import add_files, write_files


@dataclass
class Row:
    name: str


def test_a_report_and_its_rows_are_written_where_they_are_wanted(tmp_path):
    parser = argparse.ArgumentParser()
    add_files(parser, "rows")
    rows, report = tmp_path / "rows.json", tmp_path / "report.md"
    write_files(parser.parse_args([]), "benchmarks.it", ["one"], [Row("a")])
    assert not list(tmp_path.iterdir())
    options = parser.parse_args(["--json", str(rows), "--markdown", str(report)])
    write_files(options, "benchmarks.it", ["one", "two"], [Row("a")])
    assert json.loads(rows.read_text()) == [{"name": "a"}]
    head, *parts = report.read_text().split("\n\n")
    assert head.startswith("`python -m benchmarks.it")
    assert parts == ["one", "two\n"]


def test_a_report_without_rows(tmp_path):
    parser = argparse.ArgumentParser()
    add_files(parser)
    report = tmp_path / "report.md"
    write_files(parser.parse_args(["--markdown", str(report)]), "benchmarks.it", ["one"])
    assert report.read_text().endswith("\n\none\n")
