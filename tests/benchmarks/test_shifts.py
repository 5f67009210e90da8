"""From what devices wrote to the rows about it, and the command itself on a very small scale."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import pytest

from benchmarks.lives import Written
from benchmarks.shifts import Table, groups, parse, promise, report, row_of
from benchmarks.verdicts import Verdict
from edge_client.settings import Settings
from shared.config import Criterion
from tests.benchmarks.runs import made_run

SETTINGS = Settings(budget=0.01, criterion=Criterion.STRICT)


def device(*errors: int, stretch: str = "after", kind: str = "code") -> list[Written]:
    """Texts of 100 tokens with so many errors each."""
    return [Written(stretch, kind, 100 * i, made_run(off_strict=count, asked=5)) for i, count in enumerate(errors)]


def rows(table: Table, told: list[list[Written]]):
    kinds = list(dict.fromkeys(text.kind for texts in told for text in texts))
    return [row_of(table, group, SETTINGS, told, told) for group in groups(table, kinds)]


def test_fresh_devices_may_err_twice_as_much_in_their_first_tokens():
    found = {row.group: row for row in rows(Table.FRESH, [device(2, 2, 2, 1, 1), device(1, 2, 2, 0, 1, kind="json")])}
    assert found["code, first 300"].divergence.value == pytest.approx(0.02)
    assert found["all, first 300"].divergence.value == pytest.approx(11 / 600)
    assert found["all, after"].divergence.value == pytest.approx(3 / 400)
    assert (found["all, first 300"].verdict, found["all, after"].verdict) == (Verdict.KEPT, Verdict.KEPT)
    assert {row.verdict for name, row in found.items() if not name.startswith("all")} == {None}
    late = rows(Table.FRESH, [device(0, 0, 0, 4, 4)])[-1]
    assert (late.group, late.verdict) == ("all, after", Verdict.BROKEN)


def test_a_shift_is_judged_from_its_300th_token_on():
    written = device(0, 1, stretch="before") + device(9, 9, 9, 1, 1)
    before, first, late = rows(Table.SHIFT, [written])
    assert (before.texts, first.texts, late.texts) == (2, 3, 2)
    assert (before.verdict, first.verdict) == (Verdict.KEPT, None)
    assert late.divergence.value == pytest.approx(0.01)
    assert rows(Table.SHIFT, [device(0, stretch="before") + device(0, 0, 0, 3, 3)])[-1].verdict is Verdict.BROKEN


def test_no_kind_of_a_mixed_life_may_be_above_three_budgets_nor_all_above_one():
    told = [device(*[0] * 20, kind="easy") + device(2, 3, 2, 3)]
    easy, code, every = rows(Table.MIXED, told)
    assert (easy.group, code.group, every.group) == ("easy", "code", "all")
    assert [row.verdict for row in (easy, code, every)] == [Verdict.KEPT] * 3
    assert rows(Table.MIXED, [device(*[0] * 40, kind="easy") + device(4, 4, 4)])[1].verdict is Verdict.BROKEN


def test_too_many_errors_in_a_thousand_tokens_break_the_promise_whatever_the_mean():
    """Most of the tokens are without an error, so the mean is within the budget."""
    errors = [0] * 300 + [20] * 10
    (row,) = rows(Table.VARIED, [device(*errors)])
    assert row.divergence.value < 0.01
    assert row.worst == 200
    assert row.verdict is Verdict.BROKEN


def test_the_report_has_a_table_a_promise():
    text = report(rows(Table.FRESH, [device(*[1] * 12)]))
    lines = text.splitlines()
    assert lines[0] == "### fresh"
    assert lines[2].startswith("| strict 1 %")
    assert text.count("10 of 18.0") == 1
    assert text.count("kept") == 2


@pytest.mark.parametrize("text", ["typical", "typical:0", "typical:2", "odd:0.1", "strict:x"])
def test_a_promise_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as typical"):
        promise(text)


def test_every_table_has_the_default_budget_and_both_criteria():
    options = parse([])
    assert (Criterion.TYPICAL, Settings().budget) in options.promises
    assert {criterion for criterion, _ in options.promises} == set(Criterion)
    assert parse(["fresh", "--promises", "strict:0.2"]).tables == [Table.FRESH]


@pytest.mark.slow
def test_the_command(tmp_path):
    arguments = ["fresh", "shift", "varied", "mixed", "--states", "1", "--repeats", "1", "--runs", "4", "--easy", "40"]
    arguments += ["--hard", "310", "--after", "60", "--tokens", "96", "--promises", "strict:0.9", "--jobs", "1"]
    arguments += ["--json", str(tmp_path / "rows.json"), "--markdown", str(tmp_path / "report.md")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.shifts", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"TANDEM_STATE": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(" 0 broken")
    found = json.loads((tmp_path / "rows.json").read_text())
    assert {row["table"] for row in found} == set(Table)
    assert str(tmp_path) not in (tmp_path / "report.md").read_text(encoding="utf-8")
