"""Values as programs give them: converted where it is plain what is meant, and else refused in a sentence."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import InputError

Choice = TypeVar("Choice", bound=StrEnum)

# A long value says no more than its beginning.
_LONGEST = 60
# Seconds in a week. Clocks and locks refuse times that are much longer, and nobody waits even for this one.
LONGEST_WAIT = 604_800.0


def choice(kind: type[Choice], name: str, value: Any) -> Choice:
    """One of an enum's members, also by its value, in capitals or not.

    Raises:
        InputError: it is none.
    """
    try:
        return kind(value.lower() if isinstance(value, str) else value)
    except ValueError:
        raise InputError(f"{name} must be one of {', '.join(kind)}, not {_shown(value)}", options=(name,)) from None


def whole(name: str, value: Any) -> int:
    """A whole number of 64 bits at most, beside its sign.

    Raises:
        InputError: it is none.
    """
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None:
        raise InputError(f"{name} must be a whole number, not {_shown(value)}", options=(name,))
    if found.bit_length() > 64:
        raise InputError(f"{name} must be a whole number of 64 bits at most, not {_shown(found)}", options=(name,))
    return found


def number(name: str, value: Any) -> float:
    """A number, finite and of a size that a float has.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f"{name} must be a number, not {_shown(value)}", options=(name,))
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if math.isfinite(found):
        return found
    raise InputError(
        f"{name} must be a finite number, as large as a float at most, not {_shown(value)}", options=(name,)
    )


def seconds(name: str, value: Any) -> float:
    """A time to wait, a week at most.

    Raises:
        InputError: it is none.
    """
    if not 0 <= (found := number(name, value)) <= LONGEST_WAIT:
        sentence = f"{name} must be between 0 and {LONGEST_WAIT:.0f} seconds (a week), not {found:g}"
        raise InputError(sentence, options=(name,))
    return found


def switch(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        InputError: anything else.
    """
    if isinstance(value, bool):
        return value
    raise InputError(f"{name} must be True or False, not {_shown(value)}", options=(name,))


def strings(name: str, value: Any) -> tuple[str, ...]:
    """A string, or several.

    Raises:
        InputError: anything else.
    """
    is_one = isinstance(value, str | Mapping) or not isinstance(value, Iterable)
    given = (value,) if is_one else tuple(value)
    if not all(isinstance(one, str) for one in given):
        raise InputError(f"{name} must be text, or several, not {_shown(value)}", options=(name,))
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
        raise InputError(f"{name} must be a path, not {_shown(value)}", options=(name,))
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InputError(f"there is no home directory for {value}; give the whole path", options=(name,)) from None


def _shown(value: object) -> str:
    """A value as Python writes it, or its beginning."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return f"one of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
