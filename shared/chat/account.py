"""What one rendering of a template may spend: the size of every value, the work of all together, and the time."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from contextvars import ContextVar
from time import monotonic
from typing import Any, TypeVar

from jinja2.sandbox import SecurityError
from jinja2.utils import Namespace

Value = TypeVar("Value")

# The largest of any one value, in characters and items, beside a multiple of what the conversation has.
_LARGEST = 1 << 20
_LARGEST_PER_CHARACTER = 8
# Work is counted in characters made; a step counts as so many, a part of a list that is looked at as so many, and the
# largest value may be made so often.
_STEP = 256
_PART = 16
_MOST_WORK = 64
# Seconds; an honest template takes some thousandths.
_MOST_TIME = 5.0


class Account:
    """What may still be spent.

    Args:
        characters: of the conversation.

    Raises:
        SecurityError: by each method, what is wanted is too much.
    """

    def __init__(self, characters: int) -> None:
        self._largest = _LARGEST + _LARGEST_PER_CHARACTER * characters
        self._work = _MOST_WORK * self._largest
        self._end = monotonic() + _MOST_TIME

    def step(self, size: int = 0) -> None:
        """Something is about to be done that makes a value of this size."""
        self.check_size(size)
        self._work -= size + _STEP
        if self._work < 0 or monotonic() > self._end:
            raise SecurityError("it does not come to an end")

    def check_size(self, size: int) -> None:
        """A value of this size may be made."""
        if size > self._largest:
            raise SecurityError(f"it makes more than {self._largest} characters")

    def weigh(self, value: object) -> int:
        """The characters and items in a value, those of its parts included: about what it is as text.

        What is in it several times counts several times, as it would in the text.
        """
        size, count, parts = 0, 0, [value]
        while parts:
            part = parts.pop()
            size, count = size + 1, count + 1
            if isinstance(part, str | bytes):
                size += len(part)
            elif isinstance(part, dict):
                parts.extend(part.keys())
                parts.extend(part.values())
            elif isinstance(part, Namespace):
                parts.append(object.__getattribute__(part, "_Namespace__attrs"))
            elif isinstance(part, list | tuple | set):
                parts.extend(part)
            self.check_size(size + len(parts))
        self._work -= _PART * count
        return size

    def made(self, value: Value) -> Value:
        """The same value, charged for."""
        self.step(len(value) if isinstance(value, Sized) else 0)
        if isinstance(value, list | tuple | dict | Namespace):
            self.weigh(value)
        return value

    def gather(self, items: Iterable[Any], separator: int = 0) -> list[Any]:
        """All items, if they may stand in one text with separators of this length."""
        found, size = [], 0
        for item in items:
            found.append(item)
            size += separator + (len(item) if isinstance(item, str) else self.weigh(item))
            self.step()
            self.check_size(size)
        return found


account: ContextVar[Account] = ContextVar("account")
