"""The texts inside what a conversation holds beside its words: descriptions of functions, and arguments of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from shared.errors import InputError

# Objects in objects, and far more than any schema has: templates and JSON follow them by recursion.
DEEPEST = 64


def texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The same value with every text changed, names of fields included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): with_texts(part, change) for name, part in value.items()}
    if isinstance(value, list):
        return [with_texts(part, change) for part in value]
    return value


def check_depth(name: str, value: Any) -> None:
    """See that a value of JSON can be followed to its end.

    Raises:
        InputError: it is nested too deeply.
    """
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise InputError(f"{name} is nested more than {DEEPEST} deep; give it flatter")
        parts = [part for part in level if isinstance(part, dict | list)]
        level = [inner for part in parts for inner in (part.values() if isinstance(part, dict) else part)]
        depth += 1
