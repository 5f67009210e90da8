"""Values as programs give them: converted where it is plain what is meant, and else refused in a sentence."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from enum import StrEnum
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import InputError

Choice = TypeVar("Choice", bound=StrEnum)


def choice(kind: type[Choice], name: str, value: Any) -> Choice:
    """One of an enum's members, also by its value, in capitals or not.

    Raises:
        InputError: it is none.
    """
    try:
        return kind(value.lower() if isinstance(value, str) else value)
    except ValueError:
        raise InputError(f"{name} must be one of {', '.join(kind)}, not {value!r}", options=(name,)) from None


def whole(name: str, value: Any) -> int:
    """A whole number.

    Raises:
        InputError: it is none.
    """
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise InputError(f"{name} must be a whole number, not {value!r}", options=(name,))


def number(name: str, value: Any) -> float:
    """A number.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise InputError(f"{name} must be a number, not {value!r}", options=(name,))


def switch(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        InputError: anything else.
    """
    if isinstance(value, bool):
        return value
    raise InputError(f"{name} must be True or False, not {value!r}", options=(name,))


def strings(name: str, value: Any) -> tuple[str, ...]:
    """A string, or several.

    Raises:
        InputError: anything else.
    """
    given = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if not all(isinstance(one, str) for one in given):
        raise InputError(f"{name} must be text, or several, not {value!r}", options=(name,))
    return given


def string(name: str, value: Any) -> str:
    """A string; not what it may hold.

    Raises:
        InputError: anything else.
    """
    if isinstance(value, str):
        return value
    raise InputError(f"{name} must be text, not {type(value).__name__}", options=(name,))


def path(name: str, value: Any) -> Path:
    """A path; `~` is the user's home.

    Raises:
        InputError: it is none, or there is no such home.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name} must be a path, not {value!r}", options=(name,))
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InputError(f"there is no home directory for {value}; give the whole path", options=(name,)) from None
