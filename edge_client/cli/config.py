"""`edge-client config`: every value with where it comes from, and where the file is."""

from __future__ import annotations

import argparse
import json

from edge_client.cli.arguments import COMMANDS
from edge_client.cli.console import CONTROLS, say
from edge_client.cli.options import read_options
from edge_client.configuration.program import EDGE
from edge_client.configuration.variables import OTHERS, present, unread
from edge_client.settings import Settings
from shared.configuration.shown import as_dict, as_lines, tell_path, values_of


def show(options: argparse.Namespace) -> int:
    """Tell every value of a command and where it comes from; returns the exit status.

    Raises:
        InputError: a value that no text can be written with.
    """
    shown, origins = options.shown, options.shown.origins
    options.origins = origins  # for what is said of wrong values
    if hasattr(shown, "learn"):
        Settings().override(**read_options(shown))
    values = values_of(shown, COMMANDS)
    troubles = unread(COMMANDS.variables())
    if options.json:
        about = {"environment": present(), "warnings": troubles}
        print(json.dumps({"command": shown.command} | as_dict(EDGE, values) | about))
        return 0
    for line in as_lines(EDGE, values):
        print(line.translate(CONTROLS))
    for name, value in present().items():
        print(f"{name}={value}: {OTHERS[name]}".translate(CONTROLS))
    for trouble in troubles:
        say(f"warning: {trouble}")
    return 0


def path(_: argparse.Namespace) -> int:
    """Tell where the file is; returns the exit status.

    Raises:
        InputError: nowhere.
    """
    return tell_path(EDGE)
