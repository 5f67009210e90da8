"""The tables of the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.report.asker import Point
from benchmarks.report.figures import Figures
from benchmarks.tables import markdown_table, percent


def by_link(figures: Sequence[Figures], value: Callable[[Figures], str]) -> str:
    """A line a system, a column a link."""
    links = list(dict.fromkeys((one.link, one.round_trip_ms) for one in figures))
    cells = {(one.system, one.link): value(one) for one in figures}
    rows = [
        [system, *(cells[system, link] for link, _ in links)] for system in dict.fromkeys(one.system for one in figures)
    ]
    return markdown_table(["", *(f"{link}, {trip:g} ms" for link, trip in links)], rows)


def parts_table(figures: Sequence[Figures]) -> str:
    """A token's time by part, milliseconds."""
    columns: dict[str, Callable[[Figures], float]] = {
        "draft": lambda one: one.draft_ms,
        "verifier": lambda one: one.verifier_ms,
        "rest of the loop": lambda one: one.rest_ms,
        "network": lambda one: one.network_ms,
        "target": lambda one: one.target_ms,
    }
    rows = [[one.system, *(f"{value(one):.3f}" for value in columns.values())] for one in figures]
    return markdown_table(["ms a token", *columns], rows)


def price_table(figures: Sequence[Figures]) -> str:
    """How fast, for how much of everything, and how near to the target's own text."""
    columns: dict[str, Callable[[Figures], str]] = {
        "x cloud": lambda one: f"{one.speed_up:.2f}",
        "passes/token": lambda one: f"{one.passes:.3f}",
        "target ms/token": lambda one: f"{one.busy_ms:.2f}",
        "cloud CPU ms/token": lambda one: _or_dash(one.cloud_cpu_ms, ".2f"),
        "edge CPU ms/token": lambda one: _or_dash(one.edge_cpu_ms, ".2f"),
        "B up": lambda one: f"{one.bytes_up:.1f}",
        "B down": lambda one: f"{one.bytes_down:.1f}",
        "wasted/token": lambda one: f"{one.wasted:.2f}",
        "edge MB": lambda one: _or_dash(one.edge_peak_mb, ".0f"),
        "cloud MB": lambda one: _or_dash(one.cloud_peak_mb, ".0f"),
        "asked %": lambda one: percent(one.asked, 1),
        "typical %": lambda one: percent(one.typical),
        "strict %": lambda one: percent(one.strict, 1),
        "same text %": lambda one: percent(one.same_text, 0),
        "texts": lambda one: str(one.texts),
        "chosen": lambda one: one.chosen or "-",
    }
    return markdown_table(["", *columns], [[one.system, *(cell(one) for cell in columns.values())] for one in figures])


def step_table(figures: Sequence[Figures]) -> str:
    """The plain stream on loopback: how much of a token's time is the forward pass."""
    rows = [
        [
            f"simulated step of {one.step_ms:g} ms" if one.step_ms else "as it is",
            f"{one.ms_a_token:.2f}",
            f"{one.busy_ms / one.passes:.2f}",
            f"{one.target_ms:.2f}",
            f"{max(one.ms_a_token - one.busy_ms / one.passes, 0.0):.2f}",
        ]
        for one in figures
    ]
    return markdown_table(["target", "a token, ms", "forward pass", "as the target says", "outside the pass"], rows)


def asking_table(curves: dict[str, list[Point]]) -> str:
    """Every point of the curves."""
    rows = [
        [name, f"{point.setting:.3g}", percent(point.asked, 1), percent(point.typical), percent(point.strict, 1)]
        for name, curve in curves.items()
        for point in sorted(curve, key=lambda point: point.asked)
        if point.asked < 1
    ]
    return markdown_table(["", "budget or threshold", "asked %", "typical %", "strict %"], rows)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
