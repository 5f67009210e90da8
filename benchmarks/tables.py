"""Tables in Markdown that can be read as they are, and where their figures come from."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned, the first to the left and the others to the right."""
    cells = [list(heads), *map(list, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    aligned = [
        [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
        for row in cells
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [aligned[0], rule, *aligned[1:]])


def provenance(module: str) -> str:
    """The command that runs now, where and when: a figure without these is hearsay. Whole paths are cut."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    machine = f"{os.cpu_count()} CPU cores ({_processor()}), Python {platform.python_version()}"
    return f"`python -m {' '.join([module, *words])}`, {machine}, {datetime.now(UTC):%Y-%m-%d}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a number of per cent; "-" for none."""
    return "-" if share is None else f"{100 * share:.{digits}f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
