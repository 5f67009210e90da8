"""Every value of a command and where it comes from, for people and for programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.configuration.options import NOT_SET, key_of, usual
from shared.configuration.origin import DEFAULT, Origin, Source
from shared.configuration.program import Program
from shared.configuration.resolve import Commands
from shared.errors import InputError


@dataclass(frozen=True)
class Shown:
    """One value.

    Attributes:
        value: None where it is found later.
        origin: where it comes from.
        words: what it will be then; "" where it is known.
    """

    value: object
    origin: Origin
    words: str = ""


# By key.
Values = Mapping[str, Shown]


def values_of(options: argparse.Namespace, commands: Commands) -> Values:
    """The values of all options of a command that may be configured, as `resolve` found them."""
    found = {}
    for action in commands.parsers[options.command]()._actions:
        if key := key_of(action):
            value = getattr(options, action.dest)
            found[key] = Shown(value, options.origins[action.dest], usual(action) if value in (None, "", []) else "")
    return found


def as_lines(program: Program, values: Values) -> list[str]:
    """Where the file is, and then a line an option: its name, its value as in a file, and where that comes from.

    Of a value that is found later, or that there is none of, it is told in words what it will be.
    """
    cells = [(key, *_as_text(shown)) for key, shown in values.items()]
    widths = [max(len(cell[column]) for cell in cells) for column in range(2)]
    lines = [f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for key, value, origin in cells]
    return [_file(program), *lines]


def as_dict(program: Program, values: Values) -> dict[str, Any]:
    """The same, as it can be written as JSON."""
    found = program.config_path()
    return {
        "file": {"path": found and str(found), "exists": found is not None and found.exists()},
        "options": {
            key: {"value": _plain(shown.value)}
            | _origin(program.variable_of(key), shown.origin)
            | ({"words": shown.words} if shown.words else {})
            for key, shown in values.items()
        },
    }


def tell_path(program: Program) -> int:
    """Print where the file is; returns the exit status.

    Raises:
        InputError: nowhere.
    """
    found = program.config_path()
    if found is None:
        raise InputError(f"this user has no home directory for a configuration; set {program.variable} to a file")
    print(found)
    if not found.exists():
        print(f"{program.name}: there is no such file yet", file=sys.stderr)
    return 0


def _file(program: Program) -> str:
    found = program.config_path()
    if found is None:
        return f"no file: this user has no home directory; {program.variable} may name one"
    return f"file: {found}{'' if found.exists() else ' (not there)'}"


def _as_text(shown: Shown) -> tuple[str, str]:
    if shown.words and shown.origin == DEFAULT:
        return "-", shown.words if shown.words == NOT_SET else f"{DEFAULT}: {shown.words}"
    return json.dumps(_plain(shown.value), ensure_ascii=False), str(shown.origin)


def _origin(variable: str, origin: Origin) -> dict[str, Any]:
    return {
        "source": origin.source.value,
        "name": origin.name or None,
        "file": str(origin.file) if origin.source is Source.FILE else None,
        "line": origin.line,
        "variable": variable,
    }


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
