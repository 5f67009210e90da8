"""Write the list of modules in architecture.md from the modules' own first sentences: `python docs/module_map.py`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
HEADING = "## The modules\n"
PACKAGES = ("shared", "edge_client", "cloud_target", "benchmarks")


def module_map() -> str:
    """A heading a directory, and a line a module."""
    lines = []
    for package in PACKAGES:
        for directory in [ROOT / package, *sorted(p for p in (ROOT / package).rglob("*") if p.is_dir())]:
            entries = []
            for path in sorted(directory.glob("*.py")):
                if not path.stem.startswith("__") and not re.search(r"_pb2(_grpc)?$", path.stem):
                    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split("\n\n")[0]
                    entries.append(f"- `{path.name}`: {' '.join(text.split())}")
            if entries:
                lines += ["", f"### {directory.relative_to(ROOT)}", "", *entries]
    return "\n".join(lines) + "\n"


def updated(page: str) -> str:
    """The page with its list of modules made anew; the list is the last thing on it."""
    return page.split(HEADING)[0] + HEADING + module_map()


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
