"""The tree as the project tests see it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edge_client", "cloud_target", "shared")
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "docs/models.md")

# Written by tools, or by nobody: never part of a checkout. (`.git` is a file in a second working tree.)
_FOREIGN = {"__pycache__", "build", "dist", "runs", ".git"}


def files(*suffixes: str) -> Iterator[Path]:
    """Every file of the project with one of these suffixes (no suffix given: every file)."""
    return (path for path in _walk(ROOT) if not suffixes or path.suffix in suffixes)


def _walk(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name in _FOREIGN or path.name.endswith(".egg-info") or path.name.startswith(".coverage"):
            continue
        if path.is_file():
            yield path
        else:
            if path.name.startswith(".") and path.name not in (".ci", ".github"):
                continue
            yield from _walk(path)


def need(path: str) -> Path:
    """A part of the project that a test is about."""
    assert (ROOT / path).exists(), f"{path} is missing"
    return ROOT / path


def is_generated(path: Path) -> bool:
    """Whether a tool writes this file, or most of it."""
    return str(path).endswith(GENERATED)


def modules(package: str) -> list[str]:
    """Dotted names of every module of a package, in order; generated ones too."""
    names = []
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@cache
def pyproject() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
