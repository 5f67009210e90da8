"""Every option gets its value: flags go before the environment, that before the file, and all before defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.configuration.file import ConfigFile, read_config
from shared.configuration.options import from_text, from_toml, key_of
from shared.configuration.origin import DEFAULT, Origin, Source
from shared.configuration.program import Program
from shared.errors import InputError
from shared.paths import typed_place


@dataclass(frozen=True)
class Commands:
    """The commands whose options may be configured.

    Attributes:
        program: that has them.
        parsers: makes the parser of each.
    """

    program: Program
    parsers: Mapping[str, Callable[[], argparse.ArgumentParser]]

    def keys(self) -> dict[str, set[str]]:
        """By command, what its options are called in a file."""
        return {
            command: {key for action in make()._actions if (key := key_of(action))}
            for command, make in self.parsers.items()
        }

    def variables(self) -> set[str]:
        """What all their options are called in the environment."""
        return {self.program.variable_of(key) for keys in self.keys().values() for key in keys}


def resolve(options: argparse.Namespace, commands: Commands) -> argparse.Namespace:
    """Give a value to every option that has none by a flag.

    Other commands than `commands` take over what these have too, and for the rest their defaults.

    Args:
        options: as `ConfigurableParser` read them; `origins` are added, by the name of each option's attribute.

    Raises:
        InputError: the file, or a value in it or in the environment, cannot be used.
    """
    said, unsaid = vars(options).pop("said", {}), vars(options).pop("unsaid", [])
    origins = {name: Origin(Source.FLAG, flag) for name, flag in said.items()}
    if unsaid:
        file = read_config(commands.program, commands.parsers)
        keys = commands.keys() if file is not None or options.command not in commands.parsers else {}
        if file is not None:
            file.check(keys)
        common = None if options.command in commands.parsers else set().union(*keys.values())
        for parser, action in unsaid:
            value, origins[action.dest] = _configured(parser, action, commands.program, options.command, file, common)
            setattr(options, action.dest, value)
    options.origins = origins
    return options


def _configured(
    parser: argparse.ArgumentParser,
    action: argparse.Action,
    program: Program,
    command: str,
    file: ConfigFile | None,
    common: Collection[str] | None,
) -> tuple[object, Origin]:
    key = key_of(action) or ""
    if common is None or key in common:
        name = program.variable_of(key)
        if text := os.environ.get(name):
            return _from(Origin(Source.ENVIRONMENT, name), from_text, parser, action, text)
        if file is not None and (entry := file.find(command, key)) is not None:
            value, origin = _from(entry.origin, from_toml, parser, action, entry.value)
            return _beside(file.path.parent, action, value), origin
    default: Any = action.default
    if isinstance(default, str):  # as argparse does it
        default = parser._get_value(action, default)
    return default, DEFAULT


def _beside(directory: Path, action: argparse.Action, value: object) -> object:
    """A file's paths are beside it, wherever the program is called."""
    if isinstance(value, Path):
        return directory / value
    return str(directory / str(value)) if action.type is typed_place and str(value).startswith(".") else value


def _from(
    origin: Origin,
    read: Callable[[argparse.ArgumentParser, argparse.Action, Any], object],
    parser: argparse.ArgumentParser,
    action: argparse.Action,
    value: object,
) -> tuple[object, Origin]:
    try:
        return read(parser, action, value), origin
    except ValueError as error:
        raise InputError(f"{origin}: {error}") from None
