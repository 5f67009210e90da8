"""From runs to the report, and the command itself on a very small scale."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks.cells import cells_of, jobs_of, warnings_of
from benchmarks.promise import closing, filled, parse, report
from benchmarks.scenarios import Scenario
from benchmarks.verdicts import Verdict
from shared.config import Criterion, Mode
from shared.errors import InputError
from tests.benchmarks.runs import made_run

JOBS = list(jobs_of("stories", [[1, 2]] * 8, 96, [0.0, 0.7], [Criterion.STRICT], [0.01, 0.05]))


def test_seeds_count_up_from_the_first():
    seeds = {job.settings.sampling.seed for job in jobs_of("a", [[1]], 8, [0.7], [Criterion.STRICT], [0.1], seed=7)}
    assert seeds == {7}


def test_every_cell_has_a_baseline_of_its_temperature():
    assert [job.settings.mode for job in JOBS] == [Mode.LOCAL, Mode.SPRINT, Mode.SPRINT] * 2
    assert {job.settings.sampling.top_p for job in JOBS if job.settings.sampling.temperature == 0} == {1.0}
    assert {job.settings.sampling.top_p for job in JOBS if job.settings.sampling.temperature == 0.7} == {0.9}
    results = [[made_run(off_strict=20 + n)] * 8 if n % 3 == 0 else [made_run(total_ms=1.0)] * 8 for n in range(6)]
    cells = cells_of(Scenario.PLAIN, JOBS, results)
    assert [(cell.temperature, cell.budget, cell.never) for cell in cells] == [
        (0.0, 0.01, 0.2),
        (0.0, 0.05, 0.2),
        (0.7, 0.01, pytest.approx(0.23)),
        (0.7, 0.05, pytest.approx(0.23)),
    ]


def test_a_baseline_without_a_token_that_the_target_has_seen_is_refused():
    with pytest.raises(InputError, match="no rate to compare with"):
        cells_of(Scenario.PLAIN, JOBS[:2], [[made_run(tokens=0)], [made_run(total_ms=1.0)]])


@pytest.mark.parametrize(("scenario", "verdict"), [(Scenario.PLAIN, Verdict.BROKEN), (Scenario.NOISED, Verdict.KEPT)])
def test_other_scenarios_are_judged_once_settled(scenario, verdict):
    """A device that starts badly and finds its threshold has broken a promise only where it could have known."""
    asking = {"asked": 20, "calls": 20, "total_ms": 1.0}
    runs = [made_run(off_strict=20, **asking)] * 3 + [made_run(off_strict=1, **asking)] * 30
    (cell,) = cells_of(scenario, JOBS[:2], [[made_run(off_strict=20)], runs])
    assert cell.verdict is verdict
    assert cell.settled.value == pytest.approx(0.01)
    assert cell.ask_rate == pytest.approx(0.2)


def test_the_report_has_a_table_a_file_and_counts():
    runs = [made_run(off_strict=1, asked=10, calls=10, total_ms=1.0)] * 8
    cells = cells_of(Scenario.PLAIN, JOBS[:3], [[made_run(off_strict=20)] * 8, runs, runs])
    text = report(cells, ["in 3 of 8 texts: beware"])
    lines = text.splitlines()
    assert lines[0] == "### plain: stories"
    assert len({len(line) for line in lines if line.startswith("|")}) == 1
    assert lines[-1] == "- The edge warned in 3 of 8 texts: beware"
    assert "1.00 ± 0.00" in text
    assert closing(cells) == "2 cells: 1 kept, 1 needless, 0 broken"


def test_warnings_that_differ_in_their_numbers_are_one():
    runs = [made_run(warnings=["the entropy is 1.25"]), made_run(), made_run(warnings=["the entropy is 0.5", "cut"])]
    assert warnings_of(runs) == ["in 2 of 3 texts: the entropy is 1.25", "in 1 of 3 texts: cut"]


def test_what_is_not_given_hangs_on_the_scenario():
    options = parse(["--documents", "a.txt", "--budgets", "0.2"])
    plain, noised = (filled(scenario, options) for scenario in (Scenario.PLAIN, Scenario.NOISED))
    assert (plain.generations, noised.generations) == (200, 40)
    assert (plain.temperatures, noised.temperatures) == ([0.0, 0.7, 1.0], [0.7])
    assert plain.budgets == noised.budgets == [0.2]
    with pytest.raises(SystemExit):
        parse([])
    assert parse(["--scenario", "unseen"]).documents == []


@pytest.mark.slow
def test_the_command(tmp_path):
    documents = tmp_path / "stories.txt"
    story = "Once upon a time there was a little dog. He liked to play in the park with his friend, a cat."
    documents.write_text("\n<|endoftext|>\n".join([story] * 3), encoding="utf-8")
    arguments = ["--documents", str(documents), "--generations", "2", "--tokens", "24", "--jobs", "1"]
    arguments += ["--temperatures", "0.7", "--criteria", "strict", "--budgets", "0.5"]
    arguments += ["--json", str(tmp_path / "cells.json"), "--markdown", str(tmp_path / "report.md")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.promise", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"TANDEM_STATE": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 cell: 1 kept, 0 needless, 0 broken"
    (cell,) = json.loads((tmp_path / "cells.json").read_text())
    assert cell["verdict"] == "kept"
    assert cell["audited"] == cell["tokens"] > 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "### plain: stories.txt" in text


@pytest.mark.slow
def test_a_missing_file_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.promise", "--documents", str(tmp_path / "none.txt")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "cannot read" in done.stderr
    assert "Traceback" not in done.stderr
