"""Write modules.md, the list of all modules, from their own first sentences: `python docs/module_map.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "modules.md"
PACKAGES = ("shared", "edge_client", "cloud_target", "benchmarks")
HEAD = """\
# The modules

Every package and every module in its own first sentence. `python docs/module_map.py` writes this page;
[architecture.md](architecture.md) tells how they work together.
"""


def page() -> str:
    """A heading a package, with what it is for, and a line a module."""
    return HEAD + "".join(section for package in PACKAGES for section in _sections(ROOT / package))


def _sections(directory: Path) -> Iterator[str]:
    modules = [path for path in sorted(directory.glob("*.py")) if not path.stem.startswith("__")]
    lines = [f"- `{path.name}`: {_first_sentence(path)}\n" for path in modules if "_pb2" not in path.stem]
    parts = [f"## {directory.relative_to(ROOT)}\n", _first_sentence(directory / "__init__.py") + "\n", "".join(lines)]
    yield "".join(f"\n{part}" for part in parts if part.strip())
    for inner in sorted(path.parent for path in directory.glob("*/__init__.py")):
        yield from _sections(inner)


def _first_sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, which is its duty."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
