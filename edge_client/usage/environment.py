"""Prices and caps that a user has set once for all programs, in the environment: `TANDEM_PRICE_IN` and the like."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from shared.errors import InputError

if TYPE_CHECKING:
    from shared.fields import Dataclass  # which reads JSON, and a command line need not

Part = TypeVar("Part", bound="Dataclass")
_KINDS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "float": (float, "a number"),
    "int": (int, "a whole number"),
    "str": (str, "text"),
}


def variable(name: str) -> str:
    """The environment's name of an option."""
    return f"TANDEM_{name.upper()}"


def filled(kind: type[Part], given: Mapping[str, Any]) -> Part:
    """A dataclass of what was given, and of what the environment says where that is None or missing.

    Raises:
        InputError: a variable that cannot be read, or a value that `kind` refuses.
    """
    found = {field.name: _read(field.name, str(field.type)) for field in fields(kind)}
    found |= {name: value for name, value in given.items() if value is not None}
    return kind(**{name: value for name, value in found.items() if value is not None})


def _read(name: str, annotation: str) -> object:
    text = os.environ.get(variable(name), "")
    read, what = _KINDS[annotation.partition(" ")[0]]
    try:
        return read(text) if text else None
    except ValueError:
        raise InputError(f"{variable(name)} in the environment must be {what}, not {text!r}") from None
