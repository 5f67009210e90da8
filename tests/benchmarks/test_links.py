"""Speeds over links: what the tables say of made-up runs, and one real run."""

from __future__ import annotations

import sys

import pytest

from benchmarks.links import CLOUD, main, speed_table, summed_up, whole_table
from tests.benchmarks.runs import made_run


def test_speeds_are_those_of_the_same_prompts_and_their_median() -> None:
    runs = {
        "fast": [made_run(100, total_ms=ms, asked=10, calls=20, off_typical=1, off_strict=4) for ms in (50, 100, 400)],
        CLOUD: [made_run(50, total_ms=ms, calls=50) for ms in (100, 100, 100)],
    }
    fast, cloud = summed_up("lan", runs)
    assert (fast.speed_up, fast.ms_a_token, cloud.speed_up) == (2.0, 1.0, 1.0)
    assert (fast.ask_rate, fast.calls_a_token, fast.off_typical, fast.off_strict) == (0.1, 0.2, 0.01, 0.04)


def test_a_table_has_a_line_a_mode_and_a_column_a_link() -> None:
    runs = {name: [made_run(10, total_ms=ms)] for name, ms in (("fast", 5), (CLOUD, 10))}
    rows = [row for link in ("lan", "far") for row in summed_up(link, runs)]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in speed_table(rows).splitlines()]
    assert lines[0] == ["x cloud", "lan, 1 ms", "far, 100 ms"]
    assert lines[2:] == [["fast", "2.00", "2.00"], [CLOUD, "1.00", "1.00"]]
    assert len(whole_table(rows).splitlines()) == 2 + 4


@pytest.mark.slow
def test_the_real_thing_over_a_real_link(monkeypatch, capsys, tmp_path) -> None:
    report = tmp_path / "links.md"
    words = ["links", "--links", "lan", "--tokens", "4", "--markdown", str(report)]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 0
    printed = capsys.readouterr().out
    for mode in ("sprint, typical 1 %", "sprint, strict 5 %", "exact", CLOUD):
        assert f"| {mode} " in printed
    assert "benchmarks.links" in report.read_text()
