"""What a verifier was measured to do, as tables in Markdown for the model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def doubts_table(entry: dict[str, Any], criterion: str) -> str:
    """One comparison of doubts (see `doubts.compare`) as Markdown, with what it was measured on."""
    found = entry[criterion]
    budgets = found["budgets"]
    lines = [
        f"By the {criterion} criterion, {entry['kind']}, temperature {entry['temperature']:g}, "
        f"top-p {entry['top_p']:g}: never asking diverges in {found['never asking']:.3f} of "
        f"{entry['tokens']:,} tokens.",
        "",
        "| doubt | " + " | ".join(f"at {b:.0%}" for b in budgets) + " |",
        "|---|" + "---|" * len(budgets),
        *(f"| {name} | " + " | ".join(f"{a:.3f}" for a in asks) + " |" for name, asks in found["asks"].items()),
    ]
    return "\n".join(lines)


def check_table(entries: Sequence[dict[str, Any]]) -> str:
    """What thresholds do on documents that they were not chosen on, as Markdown."""
    lines = ["| text | temperature, top-p | criterion | budget | divergence | ask rate |", "|---|---|---|---|---|---|"]
    for entry in entries:
        where = f"| {entry['kind']} | {entry['temperature']:g}, {entry['top_p']:g} | {entry['criterion']} "
        lines += [
            f"{where}| {rate['budget']:.1%} | {rate['divergence']:.4f} | {rate['ask_rate']:.3f} |"
            for rate in entry["rates"]
        ]
    return "\n".join(lines)
