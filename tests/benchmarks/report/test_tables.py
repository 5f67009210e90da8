"""Tables of made-up figures."""

from __future__ import annotations

from benchmarks.report.asker import Point
from benchmarks.report.tables import asking_table, by_link, parts_table, price_table, step_table
from tests.benchmarks.report.made import made_figures


def cells(table: str) -> list[list[str]]:
    """Head and rows of a table."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [lines[0], *lines[2:]]


def test_a_line_a_system_and_a_column_a_link() -> None:
    figures = [
        made_figures(system, link, round_trip_ms=trip, speed_up=speed)
        for link, trip, speed in (("lan", 1.0, 2.0), ("far", 100.0, 3.0))
        for system in ("exact", "cloud")
    ]
    assert cells(by_link(figures, lambda one: f"{one.speed_up:g}")) == [
        ["", "lan, 1 ms", "far, 100 ms"],
        ["exact", "2", "3"],
        ["cloud", "2", "3"],
    ]


def test_a_price_that_is_not_known_is_a_dash() -> None:
    head, row, unknown = cells(
        price_table(
            [
                made_figures(wasted=0.25, edge_peak_mb=101.2, typical=0.0123, chosen="window 8"),
                made_figures(edge_peak_mb=None, edge_cpu_ms=None, cloud_cpu_ms=None, cloud_peak_mb=None),
            ]
        )
    )
    found = dict(zip(head, row, strict=True))
    assert (found["wasted/token"], found["edge MB"], found["typical %"]) == ("0.25", "101", "1.23")
    assert found["chosen"] == "window 8"
    dashes = {name for name, cell in zip(head, unknown, strict=True) if cell == "-"}
    assert dashes == {"edge MB", "cloud MB", "cloud CPU ms/token", "edge CPU ms/token", "chosen"}


def test_parts_are_of_each_system() -> None:
    head, row = cells(parts_table([made_figures(draft_ms=0.1, rest_ms=0.02)]))
    assert dict(zip(head, row, strict=True)) == {
        "ms a token": "exact",
        "draft": "0.100",
        "verifier": "1.000",
        "rest of the loop": "0.020",
        "network": "1.000",
        "target": "1.000",
    }


def test_what_is_left_outside_the_pass_is_the_rest_of_a_token() -> None:
    figures = [made_figures("cloud", ms_a_token=6.0, busy_ms=10.0, passes=2.0, step_ms=step) for step in (0.0, 25.0)]
    _, as_it_is, simulated = cells(step_table(figures))
    assert as_it_is == ["as it is", "6.00", "5.00", "1.00", "1.00"]
    assert simulated[0] == "simulated step of 25 ms"


def test_points_where_everything_is_asked_say_nothing() -> None:
    curves = {"chance": [Point(0.0, 1.0, 0.0, 0.0), Point(0.7, 0.3, 0.01, 0.1), Point(0.9, 0.1, 0.02, 0.2)]}
    assert cells(asking_table(curves))[1:] == [
        ["chance", "0.9", "10.0", "2.00", "20.0"],
        ["chance", "0.7", "30.0", "1.00", "10.0"],
    ]
