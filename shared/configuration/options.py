"""Which options of a command line may be configured, what they are called, and what a configured value must be."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable

# What one call asks for, and no standing wish can be.
ON_THE_COMMAND_LINE_ONLY = frozenset({"chat", "help", "json", "version", "verbatim"})
# Said of an option that nobody gave a value, where that means nothing more.
NOT_SET = "not set"
# How a switch is spelled where all is text.
_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def key_of(action: argparse.Action) -> str | None:
    """What an option is called in a file: its long name without dashes; None where it cannot be configured."""
    long = [name.lstrip("-") for name in action.option_strings if name.startswith("--")]
    is_hidden = argparse.SUPPRESS in (action.dest, action.help)
    if not long or is_hidden or long[0] in ON_THE_COMMAND_LINE_ONLY or not _is_known(action):
        return None
    return long[0]


def is_switch(action: argparse.Action) -> bool:
    """Whether an option is on or off."""
    return isinstance(action, argparse.BooleanOptionalAction) or (action.nargs == 0 and isinstance(action.const, bool))


def switched(action: argparse.Action, is_on: bool) -> bool:
    """The value of a switch that is on, or off."""
    return is_on if action.const is None else bool(action.const) is is_on


def takes_several(action: argparse.Action) -> bool:
    """Whether an option has a list of values."""
    if isinstance(action, argparse._AppendAction):
        return action.nargs is None or isinstance(action, argparse._ExtendAction)
    return isinstance(action, argparse._StoreAction) and action.nargs in ("+", "*")


def check_given(action: argparse.Action, text: str) -> None:
    """Refuse an empty text for an option that cannot be empty: it can where that is what it is by default.

    Raises:
        argparse.ArgumentError: it is empty.
    """
    if not text and key_of(action) and action.default != "":
        raise argparse.ArgumentError(action, "must not be empty; give a value, or leave it out")


def usual(action: argparse.Action) -> str:
    """What an option is that nobody gave a value, where that is found out later: in the words of its help."""
    words = re.search(r"\(default: (.*)\)$", action.help or "")
    return words[1] if words and words[1] not in ("none", "nothing") else NOT_SET


def from_text(parser: argparse.ArgumentParser, action: argparse.Action, text: str) -> object:
    """The value that a text of the environment stands for; of several, each has a line.

    Raises:
        ValueError: none, and why.
    """
    if is_switch(action):
        word = text.strip().lower()
        if word not in (*_ON, *_OFF):
            raise ValueError(f"must be 1 or 0, not {text!r}")
        return switched(action, word in _ON)
    if takes_several(action):
        return [_convert(parser, action, line) for line in text.splitlines()]
    return _convert(parser, action, text)


def from_toml(parser: argparse.ArgumentParser, action: argparse.Action, value: object) -> object:
    """The value that one of a file stands for.

    Raises:
        ValueError: none, and why.
    """
    if is_switch(action):
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {_as_toml(value)}")
        return switched(action, value)
    if takes_several(action):
        values: Iterable[object] = value if isinstance(value, list) else [value]
        return [_single(parser, action, each) for each in values]
    return _single(parser, action, value)


def _is_known(action: argparse.Action) -> bool:
    takes_one = isinstance(action, argparse._StoreAction) and action.nargs in (None, "?")
    return is_switch(action) or takes_several(action) or takes_one


def _single(parser: argparse.ArgumentParser, action: argparse.Action, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be text or a number, not {_as_toml(value)}")
    found = _convert(parser, action, str(value))
    if not isinstance(value, str) and (isinstance(found, bool) or not isinstance(found, int | float)):
        raise ValueError(f"must be text, in quotes, not {value}")
    return found


def _convert(parser: argparse.ArgumentParser, action: argparse.Action, text: str) -> object:
    """As argparse does it, for the same text on the command line."""
    try:
        found: object = parser._get_value(action, text)
    except argparse.ArgumentError as error:
        raise ValueError(error.message) from None
    if action.choices is not None and found not in action.choices:
        raise ValueError(f"must be one of {', '.join(map(str, action.choices))}, not {text!r}")
    return found


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)[:40]
