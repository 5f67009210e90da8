"""The filters of chat templates: Jinja's and transformers' own, each charged for before it makes anything large."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from jinja2 import Environment, filters, pass_environment, pass_eval_context
from jinja2.filters import FILTERS
from jinja2.nodes import EvalContext
from jinja2.sandbox import SecurityError

from shared.chat.account import account

# A number that says how wide, deep or precise something is to be.
_LARGEST_NUMBER = 10_000
# The longest format, and the longest text that is stripped off or looked for from the end, in characters: Python takes
# a time that grows with the product of that and the text it is done to.
_LONGEST_PATTERN = 1_000
# Fields of a format that are 100 and more wide, or as wide as something else says.
_WIDE = re.compile(r"%(\([^)]*\))?[^a-zA-Z%]*(\*|\d{3})|\{([^{}]*\{|[^{}:]*:[^{}]*\d{3})")

# What these give is bounded by what they are given.
_BOUNDED = (
    *("abs", "attr", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "last", "list"),
    *("length", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"),
)
# These make text of it, or take a number.
_OF_TEXT = (
    *("batch", "capitalize", "center", "e", "escape", "filesizeformat", "forceescape", "lower", "round", "safe"),
    *("slice", "string", "striptags", "title", "truncate", "upper", "wordcount"),
)


def known_filters() -> dict[str, Callable[..., Any]]:
    """Those that a template may use, by name."""
    return {
        **{name: FILTERS[name] for name in _BOUNDED},
        **{name: _of_text(FILTERS[name]) for name in _OF_TEXT},
        **{"format": _format, "indent": _indent, "join": _join, "replace": _replace, "sum": _sum, "trim": _trim},
        "tojson": _of_text(_to_json),
    }


def weighed(value: object) -> object:
    """What is written as text, seen to be of a bearable length."""
    if not isinstance(value, str):
        account.get().weigh(value)
    return value


def watched(function: Any) -> Callable[..., Any]:
    """A filter or test that is charged for."""

    @wraps(function)  # which keeps the marks by which Jinja knows what to give it
    def charged(*args: Any, **kwargs: Any) -> Any:
        account.get().step()
        return account.get().made(function(*args, **kwargs))

    return charged


def check_format(form: str | bytes, given: object) -> None:
    """See that a format makes no text that is much longer than it and what it is given."""
    text = form.decode("latin-1") if isinstance(form, bytes) else form
    check_pattern(text)
    if _WIDE.search(text.replace("{{", "")):
        raise SecurityError("it formats text to a great width")
    fields = text.count("%") + text.count("{")
    account.get().step(25 * len(text) + fields * account.get().weigh(given))


def check_replace(text: str, old: str, new: str) -> None:
    """See that a replacement makes no text that is too long."""
    account.get().step(len(text) + text.count(old) * len(new))


def check_pattern(pattern: object) -> None:
    """See that what is done by a text to another one comes to an end."""
    if isinstance(pattern, str) and len(pattern) > _LONGEST_PATTERN:
        raise SecurityError(f"it has a pattern of more than {_LONGEST_PATTERN} characters")


def _of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def weighing(*args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            weighed(value)
        for number in (*args[1:], *kwargs.values()):
            if isinstance(number, int) and number > _LARGEST_NUMBER:
                raise SecurityError(f"it has a number above {_LARGEST_NUMBER} in a filter")
        return function(*args, **kwargs)

    return weighing


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers has it; Jinja's own would write the signs of HTML in another way."""
    if indent is not None and not (isinstance(indent, int) and indent <= 16):
        raise SecurityError("it indents JSON by more than 16")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _format(form: Any, *args: Any, **kwargs: Any) -> str:
    check_format(str(weighed(form)), kwargs or args)
    return filters.do_format(form, *args, **kwargs)


@pass_eval_context
def _replace(context: EvalContext, text: Any, old: str, new: str, count: int | None = None) -> str:
    check_replace(str(weighed(text)), old, new)
    return filters.do_replace(context, text, old, new, count)


@pass_eval_context
def _join(context: EvalContext, items: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    return filters.sync_do_join(context, account.get().gather(items, len(d)), d, attribute)


@pass_environment
def _sum(environment: Environment, items: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """Of numbers: lists could be summed up, too, at the square of their length."""
    found = items if attribute is None else map(filters.make_attrgetter(environment, attribute), items)
    numbers = account.get().gather(found)
    if not all(isinstance(number, int | float) for number in (start, *numbers)):
        raise SecurityError("it sums up what are no numbers")
    return sum(numbers, start)


def _trim(text: Any, chars: str | None = None) -> str:
    weighed(text)
    check_pattern(chars)
    return filters.do_trim(text, chars)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    step = len(width) if isinstance(width, str) else width
    weighed(text)
    account.get().step(len(str(text)) + step * (len(str(text).splitlines()) + 1))
    return filters.do_indent(text, width, first, blank)
