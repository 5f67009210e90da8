"""Runs with nothing but the figures that a test is about."""

from __future__ import annotations

from dataclasses import fields

from benchmarks.modes import Run
from edge_client.decoding.record import Summary


def made_run(tokens: int = 100, off_strict: int = 0, off_typical: int = 0, warnings=(), **figures) -> Run:
    """A text whose tokens are all audited; `figures` are those of its summary."""
    summary = Summary(**dict.fromkeys((field.name for field in fields(Summary)), 0) | {"tokens": tokens} | figures)
    return Run(summary, tokens, off_strict, off_typical, 1.0 * tokens, list(range(tokens)), list(warnings))
