"""Texts and figures with nothing but what a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.report.device import Text
from benchmarks.report.figures import Figures
from edge_client.usage.audit_counts import AuditCounts
from tests.benchmarks.runs import made_run


def made_text(ids: Sequence[int] = range(10), total_ms: float = 10.0, first_ms: float = 1.0, **parts: float) -> Text:
    """A text; `parts` are those of its edge's times, such as `draft_ms`."""
    run = made_run(len(ids), total_ms=total_ms)
    summary = replace(run.summary, times=replace(run.summary.times, **parts))
    return Text(list(ids), summary, AuditCounts(len(ids), len(ids)), total_ms, first_ms, 0.001)


def made_figures(system: str = "exact", link: str = "home", **values: Any) -> Figures:
    """Figures of one system in one place."""
    numbers: dict[str, Any] = {name: 1.0 for name in Figures.__annotations__} | {
        "round_trip_ms": 25.0,
        "step_ms": 0.0,
        "chosen": "",
        "texts": 2,
        "tokens": 20,
        "is_ours": True,
    }
    return Figures(**numbers | {"system": system, "link": link} | values)
