"""Checks of values that were read from a JSON file: what is wrong is said with the field's name and its value."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeVar


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Part = TypeVar("Part", bound=Dataclass)
Choice = TypeVar("Choice", bound=StrEnum)

# A long value says no more than its beginning.
_LONGEST = 40
# JSON has whole numbers beyond what a float can hold.
_LARGEST = sys.float_info.max


def filled(kind: type[Part], data: object, name: str = "") -> Part:
    """A dataclass from the JSON object of its fields; the values themselves are not looked at.

    Args:
        data: what the file has in the place of the object.
        name: of that place, such as "draft" or "calibration[3]"; "" for the whole file.

    Raises:
        ValueError: it is no object, or fields are missing or unknown.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{f'`{name}`' if name else 'the whole'} must be an object, not {shown(data)}")
    place = f"{name}." if name else ""
    known = {field.name: field for field in fields(kind)}
    for field in known.values():
        if field.name not in data and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"`{place}{field.name}` is missing")
    for given in data:
        if given not in known:
            raise ValueError(f"`{place}{given}` is a field that there should not be")
    return kind(**data)


def listed(name: str, value: object) -> Sequence[object]:
    """`value`, which must be a list.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, list):
        raise ValueError(_wrong(name, "a list", value))
    return value


def chosen(kind: type[Choice], name: str, value: object) -> Choice:
    """The member of an enum that `value` names.

    Raises:
        ValueError: it names none.
    """
    for choice in kind:
        if choice == value:
            return choice
    raise ValueError(_wrong(name, f"one of {', '.join(kind)}", value))


def check_text(name: str, value: object) -> None:
    """See that a value is text; raises ValueError if not."""
    if not isinstance(value, str):
        raise ValueError(_wrong(name, "text", value))


def check_whole(name: str, value: object, least: int = 0, most: int | None = None) -> None:
    """See that a value is a whole number from `least` to `most`; raises ValueError if not."""
    if type(value) is int and least <= value and (most is None or value <= most):
        return
    bounds = f"from {least} to {most}" if most is not None else "above 0" if least == 1 else f"of {least} or more"
    raise ValueError(_wrong(name, f"a whole number {bounds}", value))


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> None:
    """See that a value is a finite number from `low` to `high`; raises ValueError if not."""
    if isinstance(value, int | float) and low <= value <= high and abs(value) <= _LARGEST:
        return
    bounds = f" from {low:g} to {high:g}" if high < math.inf else f" of {low:g} or more" if low > -math.inf else ""
    raise ValueError(_wrong(name, f"a number{bounds}" if bounds else "a finite number", value))


def shown(value: object) -> str:
    """A value as it stands in the file, or its beginning."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _wrong(name: str, wanted: str, value: object) -> str:
    return f"`{name}` must be {wanted}, not {shown(value)}"
