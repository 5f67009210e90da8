"""`edge-client config`: every value with where it comes from, and where the file is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_client.cli.arguments import COMMANDS
from edge_client.cli.console import CONTROLS, say
from edge_client.cli.options import read_options
from edge_client.configuration.file import VARIABLE, config_path
from edge_client.configuration.options import key_of, variable_of
from edge_client.configuration.origin import Origin, Source
from edge_client.configuration.variables import OTHERS, present, unread
from edge_client.settings import Settings
from shared.errors import InputError


def show(options: argparse.Namespace) -> int:
    """Tell every value of a command and where it comes from; returns the exit status.

    Raises:
        InputError: a value that no text can be written with.
    """
    shown, origins = options.shown, options.shown.origins
    options.origins = origins  # for what is said of wrong values
    if hasattr(shown, "learn"):
        Settings().override(**read_options(shown))
    keys = {key: action.dest for action in COMMANDS.parsers[shown.command]()._actions if (key := key_of(action))}
    values = {key: (getattr(shown, name), origins[name]) for key, name in keys.items()}
    troubles = unread(COMMANDS.variables())
    if options.json:
        print(json.dumps(_as_dict(shown.command, values, troubles)))
        return 0
    print(_file(config_path()).translate(CONTROLS))
    for line in _lines(values):
        print(line.translate(CONTROLS))
    for name, value in present().items():
        print(f"{name}={value}: {OTHERS[name]}".translate(CONTROLS))
    for trouble in troubles:
        say(f"warning: {trouble}")
    return 0


def path(options: argparse.Namespace) -> int:
    """Tell where the file is; returns the exit status.

    Raises:
        InputError: nowhere.
    """
    found = config_path()
    if found is None:
        raise InputError(f"this user has no home directory for a configuration; set {VARIABLE} to a file")
    print(found)
    if not found.exists():
        say("there is no such file yet")
    return 0


def _file(found: Path | None) -> str:
    if found is None:
        return f"no file: this user has no home directory; {VARIABLE} may name one"
    return f"file: {found}{'' if found.exists() else ' (not there)'}"


def _lines(values: Mapping[str, tuple[object, Origin]]) -> list[str]:
    """A line an option: its name, its value as in a file, and where that comes from."""
    cells = [(key, _as_text(value), str(origin)) for key, (value, origin) in values.items()]
    widths = [max(len(cell[column]) for cell in cells) for column in range(2)]
    return [f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for key, value, origin in cells]


def _as_text(value: object) -> str:
    return "-" if value is None else json.dumps(_plain(value), ensure_ascii=False)


def _as_dict(command: str, values: Mapping[str, tuple[object, Origin]], troubles: list[str]) -> dict[str, Any]:
    found = config_path()
    return {
        "command": command,
        "file": {"path": found and str(found), "exists": found is not None and found.exists()},
        "options": {key: {"value": _plain(value)} | _origin(key, origin) for key, (value, origin) in values.items()},
        "environment": present(),
        "warnings": troubles,
    }


def _origin(key: str, origin: Origin) -> dict[str, Any]:
    return {
        "source": origin.source.value,
        "name": origin.name or None,
        "file": str(origin.file) if origin.source is Source.FILE else None,
        "line": origin.line,
        "variable": variable_of(key),
    }


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
