"""The figures of a siege, from rounds that are made up."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.held import Look
from benchmarks.siege.devices import Asked
from benchmarks.siege.measure import BACK_DESCRIPTORS, BACK_MB, Round, is_back
from benchmarks.siege.report import comparison, grown, report, slowed

MB = 1_000_000
BEFORE = Look(400 * MB, 500 * MB, 20)


def asked(seconds: float, lost: int = 0) -> Asked:
    return Asked(held=[seconds] * 10, new=[2 * seconds] * 10, lost=lost)


def made(ratio: float, most: int = 450, left: Look = BEFORE, lost: int = 0) -> Round:
    strangers = {"pings": {"came": 3, "sent away": 1, "bytes": 5 * MB}, "silent": {"came": 2}}
    phases = asked(0.01), asked(0.01 * ratio, lost), asked(0.01), asked(0.01 * ratio / 1.25)
    return Round(*phases, BEFORE, most * MB, left, (0.5, 0.1, 0.1), strangers)


def cells(table: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if "|" in line]
    return {row[0]: row[1:] for row in rows}


def test_ratios_are_of_the_same_round_and_medians_over_rounds():
    found = [made(1.5), made(9.0), made(1.25)]
    assert round(slowed(found, "held", 0.99), 6) == 1.5
    assert round(slowed(found, "new", 0.5, "after"), 6) == 1.0
    assert grown([made(1.0, 450), made(1.0, 520)]) == 120


def test_all_is_back_within_what_is_said():
    more = replace(BEFORE, resident=BEFORE.resident + BACK_MB * MB, descriptors=BEFORE.descriptors + BACK_DESCRIPTORS)
    assert is_back(more, BEFORE)
    assert not is_back(replace(more, resident=more.resident + 1), BEFORE)
    assert not is_back(replace(more, descriptors=more.descriptors + 1), BEFORE)


def test_the_table_puts_bars_beside_figures():
    kept = replace(BEFORE, resident=BEFORE.resident + 2 * BACK_MB * MB, descriptors=21)
    found = cells(report([made(1.5), made(3.0, 610, kept, lost=2), made(1.5)]))
    assert found["over a link that is held, p99"] == ["10.0", "15.0", "1.50", "12.0", "1.20", "10.0", "1.00"]
    assert found["p99 beside strangers, over a new link, ratio"] == ["1.50", "2"]
    assert found["p99 beside strangers over that beside a neighbour, over a new link"] == ["1.25", ""]
    assert found["memory that strangers took, MB"] == ["+210", "200"]
    assert found["descriptors after they had left"] == ["+1", "2"]
    assert found["rounds in which all came back"] == ["2", "3"]
    assert found["questions that were lost"] == ["2", "0"]
    assert found["pings"] == ["9", "3", "15.0"]
    assert found["silent"] == ["6", "0", "0.0"]


def test_kinds_side_by_side_also_where_nobody_was_answered():
    none = replace(made(1.0), beside=Asked(lost=4))
    found = cells(comparison({"pings": [none], "silent": [made(2.0)]}))
    assert found["silent"] == ["2.00", "2.00", "2.00", "2.00", "+50", "1 of 1", "0.50", "0.10", "0"]
    assert found["pings"][0] == "nan"
    assert found["pings"][-1] == "4"
