"""The fields of a request, taken one by one; what nobody takes is refused, so that nothing is ignored unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from edge_client.server.errors import ApiError, unsupported
from shared import values
from shared.errors import InputError

Value = TypeVar("Value")
_MISSING = object()


class Fields:
    """Those of one object. `null` is as if the field were not there.

    Args:
        prefix: of their names in what is said about them.
    """

    def __init__(self, given: dict[str, Any], prefix: str = "") -> None:
        self._left = {name: value for name, value in given.items() if value is not None}
        self._prefix = prefix

    def take(self, name: str, convert: Callable[[str, Any], Value]) -> Value | None:
        """A field's value; None where there is none.

        Args:
            convert: makes the value of a name, for what is said about it, and what was given.

        Raises:
            ApiError: it cannot be used.
        """
        given = self._left.pop(name, _MISSING)
        if given is _MISSING:
            return None
        name = self._prefix + name
        try:
            return convert(name, given)
        except InputError as error:
            raise ApiError(400, str(error), param=name) from None

    def flag(self, name: str) -> bool:
        """A field that is true or false; false where there is none."""
        return self.take(name, values.switch) or False

    def inside(self, name: str) -> Fields:
        """The fields of an object within; none where there is no such object."""
        return Fields(self.take(name, _object) or {}, f"{self._prefix}{name}.")

    def drop(self, *names: str) -> None:
        """Fields that say nothing about the text: who asks, or how it is filed."""
        for name in names:
            self._left.pop(name, None)

    def refuse(self, name: str, neutral: tuple[Any, ...], sentence: str) -> None:
        """A field of which only such values may be given as change nothing.

        Raises:
            ApiError: it has another.
        """
        given = self._left.pop(name, _MISSING)
        if given is not _MISSING and not any(given == one and _is_flag(given) == _is_flag(one) for one in neutral):
            raise unsupported(self._prefix + name, sentence)

    def end(self) -> None:
        """All have been taken.

        Raises:
            ApiError: there is one that nobody knows.
        """
        for name in self._left:
            raise ApiError(
                400,
                f"there is no field {self._prefix + name!r} here; it would change nothing, so leave it out",
                param=self._prefix + name,
                code="unknown_parameter",
            )


def within(name: str, value: int, least: int, most: int) -> int:
    """A whole number in a range.

    Raises:
        InputError: it is outside.
    """
    if not least <= value <= most:
        raise InputError(f"{name} must be between {least} and {most}, not {value}")
    return value


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)  # which Python takes for 0 and 1


def _object(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise InputError(f"{name} must be an object")
