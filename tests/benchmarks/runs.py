"""Runs with nothing but the figures that a test is about."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.modes import Run
from edge_client.usage.audit_counts import AuditCounts
from edge_client.usage.summary import Summary, Times


def made_run(
    tokens: int = 100,
    off_strict: int = 0,
    off_typical: int = 0,
    warnings: Sequence[str] = (),
    asked: int = 0,
    calls: int = 0,
    total_ms: float = 0.0,
) -> Run:
    """A text whose tokens are all audited."""
    counts = AuditCounts(tokens, tokens, asked, off_typical, off_strict, nll=1.0 * tokens)
    summary = Summary(counts, Times(total_ms, 0, 0, 0, 0, 0, 0, 0), 0, 0, 0, 0, None, calls, 0, 0, 0, 0)
    return Run(summary, counts, list(range(tokens)), list(warnings))
