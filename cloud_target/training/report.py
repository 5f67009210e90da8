"""What a pair and its verifier were measured to do, as JSON for programs and Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloud_target.training.calibrate import calibrate, check, write_calibration
from cloud_target.training.doubts import compare, fit_comparison_heads
from cloud_target.training.evaluate import DevText, agreement, as_table
from cloud_target.training.label import Rows
from cloud_target.training.verifier import Head
from shared.bundle import DOUBT_COLUMNS, Calibration


def head_report(head: Head, rows: Rows, dev: Sequence[tuple[DevText, Rows]], seed: int = 0) -> dict[str, Any]:
    """Compare doubts, calibrate, and check the calibration, on held-out text.

    Thresholds are chosen on the target's own text: that is what the draft reads while it serves.

    Returns:
        `agreement` (see `evaluate.agreement`), `doubts` and `checks` (a list for each kind of text and sampling), and
        `calibration` (a list of `Calibration`).
    """
    others = fit_comparison_heads(rows, seed)
    doubts, checks, cells = [], [], []
    for kind, temperature, top_p in dict.fromkeys((text.kind, text.temperature, text.top_p) for text, _ in dev):
        key = kind, temperature, top_p
        group = Rows.join([part for text, part in dev if (text.kind, text.temperature, text.top_p) == key])
        where = {"kind": kind, "temperature": temperature, "top_p": top_p, "tokens": len(group)}
        doubts.append(where | compare(group, head, others))
        for criterion in DOUBT_COLUMNS:
            checks.append(where | {"criterion": str(criterion), "rates": check(head, group, criterion, seed=seed)})
            if kind == "own text":
                cells += calibrate(head, group, criterion, temperature, top_p)
    return {"agreement": agreement(dev), "doubts": doubts, "checks": checks, "calibration": cells}


def write_report(directory: str | Path, report: dict[str, Any]) -> None:
    """Write `calibration.json`, `report.json` and `report.md`, and print the last."""
    directory = Path(directory)
    write_calibration(directory / "calibration.json", report["calibration"])
    kept = {name: part for name, part in report.items() if name != "calibration"}
    (directory / "report.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    text = describe(report)
    (directory / "report.md").write_text(text, encoding="utf-8")
    print(text)


def describe(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    parts = ["## Agreement on held-out text", as_table(report["agreement"]), "## Ask rates"]
    parts += [doubts_table(entry, str(criterion)) for entry in report["doubts"] for criterion in DOUBT_COLUMNS]
    parts += ["## Thresholds on documents that they were not chosen on", check_table(report["checks"])]
    parts += ["## Calibration", _calibration(report["calibration"])]
    return "\n\n".join(parts) + "\n"


def doubts_table(entry: dict[str, Any], criterion: str) -> str:
    """One comparison of `head_report` as Markdown, with what it was measured on."""
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
    """The checks of `head_report` as Markdown."""
    lines = ["| text | temperature, top-p | criterion | budget | divergence | ask rate |", "|---|---|---|---|---|---|"]
    for entry in entries:
        where = f"| {entry['kind']} | {entry['temperature']:g}, {entry['top_p']:g} | {entry['criterion']} "
        lines += [
            f"{where}| {rate['budget']:.1%} | {rate['divergence']:.4f} | {rate['ask_rate']:.3f} |"
            for rate in entry["rates"]
        ]
    return "\n".join(lines)


def _calibration(cells: Sequence[Calibration]) -> str:
    lines = [
        "| criterion | temperature, top-p | budget | threshold | divergence | ask rate | tokens |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.criterion} | {c.temperature:g}, {c.top_p:g} | {c.budget:.1%} | {c.threshold:.4f} | {c.divergence:.4f} | "
        f"{c.ask_rate:.3f} | {c.tokens:,} |"
        for c in cells
    ]
    return "\n".join(lines)
