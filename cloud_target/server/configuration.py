"""Where the values of `serve`'s options come from: its flags, the environment, a file, or their defaults."""

from __future__ import annotations

import argparse
import os
from difflib import get_close_matches

from cloud_target.server.options import add_options
from shared.configuration.parser import ConfigurableParser
from shared.configuration.program import Program
from shared.configuration.resolve import Commands, resolve
from shared.errors import InputError

CLOUD = Program("cloud-target", "TANDEM_SERVE_", "cloud-target.toml")
_COMMAND = "serve"


def _parser() -> argparse.ArgumentParser:
    parser = ConfigurableParser(add_help=False)
    add_options(parser)
    return parser


# The one command whose options may stand in the file; others that take them over have them from there, too.
COMMANDS = Commands(CLOUD, {_COMMAND: _parser})


def configure(arguments: argparse.Namespace) -> argparse.Namespace:
    """Give a value to every option of `serve` that has none by a flag.

    Args:
        arguments: as a `ConfigurableParser` read them; `origins` are added, by the name of each option's attribute.

    Raises:
        InputError: the file, or a value in it or in the environment, cannot be used, or nothing reads it.
    """
    _refuse_unread()
    arguments.command = _COMMAND
    return resolve(arguments, COMMANDS)


def _refuse_unread() -> None:
    known = {CLOUD.variable, *COMMANDS.variables()}
    for name in sorted(os.environ):
        if name.startswith(CLOUD.prefix) and name not in known and os.environ[name]:
            keys = [variable.removeprefix(CLOUD.prefix) for variable in sorted(known)]
            near = get_close_matches(name.removeprefix(CLOUD.prefix), keys, 1, 0.6)
            hint = f"did you mean {CLOUD.prefix}{near[0]}?" if near else "unset it"
            raise InputError(f"{name} is set in the environment, and nothing reads it; {hint}")
