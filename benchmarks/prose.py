"""English that neither model ever saw: the license of this project and the documentation inside Python's library."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

LICENSE = Path(__file__).resolve().parents[1] / "LICENSE"
MODULES = ("argparse", "decimal", "json", "logging", "random", "statistics", "textwrap", "threading", "unittest")
# Characters. Shorter paragraphs are headings, signatures and lists.
_SHORTEST = 200


def unseen_prose() -> dict[str, list[str]]:
    """Paragraphs on one line each, by where they come from. The library's differ a little from version to version."""
    licence = LICENSE.read_text(encoding="utf-8")
    documented = "\n\n".join(text for name in MODULES for text in _docstrings(importlib.import_module(name)))
    return {"license": list(_paragraphs(licence)), "docstrings": list(_paragraphs(documented))}


def _docstrings(module: ModuleType) -> Iterator[str]:
    """Of a module, of its public classes and functions, and of their methods, each once."""
    public = [value for name, value in sorted(vars(module).items()) if not name.startswith("_")]
    own = [value for value in public if getattr(value, "__module__", None) == module.__name__]
    methods = [
        value
        for holder in own
        if inspect.isclass(holder)
        for name, value in sorted(vars(holder).items())
        if not name.startswith("_")
    ]
    seen = set()
    for thing in (module, *own, *methods):
        text = inspect.getdoc(thing) if callable(thing) or thing is module else None
        if text and text not in seen:
            seen.add(text)
            yield text


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        line = " ".join(paragraph.split())
        if len(line) >= _SHORTEST and not (line[0].islower() or line[0] in "-*" or ">>>" in line):
            yield line
