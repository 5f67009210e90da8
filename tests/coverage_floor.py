"""Whether the tests reach enough of every measured file: `python -m tests.coverage_floor`, after a run with `--cov`.

Says nothing where they do. Which files are measured is in pyproject.toml.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORT = Path(__file__).resolve().parents[1] / ".coverage.json"
LEAST = 90.0


def below(report: Mapping[str, Any], least: float = LEAST) -> list[str]:
    """A line a file of which less than `least` per cent of the lines were run."""
    shares = {name: file["summary"]["percent_covered"] for name, file in report["files"].items()}
    return [f"{name}: {share:.1f} %" for name, share in sorted(shares.items()) if share < least]


def main() -> int:
    found = below(json.loads(REPORT.read_text(encoding="utf-8")))
    if found:
        print(f"The tests run less than {LEAST:.0f} % of the lines of", *found, sep="\n  ", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
