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


def resolve(options: argparse.Namespace, commands: Commands, forgives: bool = False) -> argparse.Namespace:
    """Give a value to every option that has none by a flag.

    Other commands than `commands` take over what these have too, and for the rest their defaults.

    Args:
        options: as `ConfigurableParser` read them; `origins` are added, by the name of each option's attribute.
        forgives: what cannot be used is as if it were not there; the caller tells of it.

    Raises:
        InputError: the file, or a value in it or in the environment, cannot be used.
    """
    said, unsaid = vars(options).pop("said", {}), vars(options).pop("unsaid", [])
    origins = {name: Origin(Source.FLAG, flag) for name, flag in said.items()}
    if unsaid:
        file = _file(commands, forgives)
        keys = commands.keys() if options.command not in commands.parsers else {}
        common = None if options.command in commands.parsers else set().union(*keys.values())
        for parser, action in unsaid:
            try:
                value, origin = _configured(parser, action, commands.program, options.command, file, common)
            except InputError:
                if not forgives:
                    raise
                value, origin = _default(parser, action), DEFAULT
            setattr(options, action.dest, value)
            origins[action.dest] = origin
    options.origins = origins
    return options


def use_defaults(options: argparse.Namespace) -> argparse.Namespace:
    """Give its default to every option that has no value by a flag, whatever stands in the environment and in files."""
    del options.said
    for parser, action in vars(options).pop("unsaid"):
        setattr(options, action.dest, _default(parser, action))
    return options


def _file(commands: Commands, forgives: bool) -> ConfigFile | None:
    try:
        if (file := read_config(commands.program, commands.parsers)) is not None:
            file.check(commands.keys())
    except InputError:
        if not forgives:
            raise
        return None
    return file


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
    return _default(parser, action), DEFAULT


def _default(parser: argparse.ArgumentParser, action: argparse.Action) -> object:
    default: object = action.default
    if isinstance(default, str):  # as argparse does it
        default = parser._get_value(action, default)
    return default


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
