"""The files of the report: whole, or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.report.page import PLOTS
from benchmarks.report.run import Results


def figures_json(results: Results) -> str:
    """Everything that was measured, for programs."""
    found = {
        "models": {"draft": results.draft, "target": results.target},
        "figures": [asdict(one) for one in results.figures],
        "peers": [asdict(row) for row in results.peers],
        "curves": {name: [asdict(point) for point in curve] for name, curve in results.curves.items()},
    }
    return json.dumps(found, indent=1) + "\n"


def write_files(directory: Path, texts: Mapping[str, str]) -> None:
    """Write each under its name, folders included; one that is there already stays until the new one is whole."""
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            half.write_text(text, encoding="utf-8")
            half.replace(path)
        finally:
            with suppress(FileNotFoundError):
                half.unlink()


def report_files(results: Results, texts: Mapping[str, str]) -> dict[str, str]:
    """The page and its plots, and the figures."""
    return {**texts, f"{PLOTS}/figures.json": figures_json(results)}
