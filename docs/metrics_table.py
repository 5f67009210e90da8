"""Write the table of metrics in operations.md from the code's own list: `python docs/metrics_table.py`."""

from __future__ import annotations

import re
from pathlib import Path

from cloud_target.telemetry.catalogue import METRICS

PAGE = Path(__file__).resolve().parent / "operations.md"
_TABLE = re.compile(r"\| metric \| kind \| label \| what \|\n(?:\|.*\n)+")


def table() -> str:
    """One row a metric."""
    rows = ["| metric | kind | label | what |", "|---|---|---|---|"]
    for metric in METRICS.values():
        label = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.series}` | {metric.kind.__name__.lower()} | {label} | {metric.help} |")
    return "\n".join(rows) + "\n"


def updated(page: str) -> str:
    """The page with its table made anew."""
    return _TABLE.sub(lambda _: table(), page, count=1)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
