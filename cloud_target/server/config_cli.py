"""`cloud-target config`: what `serve` would run with and where each value comes from, and where the file is."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from cloud_target.access.tokens import SECRET
from cloud_target.server.configuration import CLOUD, COMMANDS, configure
from cloud_target.server.options import add_options, read_settings
from shared.configuration.shown import as_dict, as_lines, tell_path, values_of

_EXAMPLES = """\
examples:
  cloud-target config show                      every value that `serve` would have, and where it comes from
  cloud-target config show --port 50052         the same, with this option
  cloud-target config show --json
  cloud-target config path                      where the file is

A value comes from the first of these that has one: an option of the command line; the environment, where the option
--kv-memory is TANDEM_SERVE_KV_MEMORY; the file; the default. The file is TOML, and its keys are the options' names:

  target = "./my-model"
  kv-memory = "8GiB"
  metrics-port = 9464
  insecure-bind = false

TANDEM_SERVE_CONFIG names the file, in the place of ~/.config/tandem/cloud-target.toml. More is in docs/operations.md.
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `config`."""
    parser = subparsers.add_parser(
        "config",
        help="tell what `serve` would run with, and where each value comes from",
        description="Where the values of the options of `serve` come from.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    steps = parser.add_subparsers(metavar="show|path", required=True)
    shows = steps.add_parser("show", help="every value", description="Tell every value.", allow_abbrev=False)
    shows.is_configurable = True
    shows.add_argument("--json", action="store_true", help="as one line of JSON")
    add_options(shows)
    shows.set_defaults(run=show)
    steps.add_parser("path", help="where the file is", allow_abbrev=False).set_defaults(run=path)


def show(arguments: argparse.Namespace) -> int:
    """Tell every value and where it comes from; returns the exit status.

    Raises:
        InputError: a value that no server can run with.
    """
    read_settings(configure(arguments))
    shown = values_of(arguments, COMMANDS)
    values = {key: replace(one, value=_without_secret(one.value)) for key, one in shown.items()}
    if arguments.json:
        print(json.dumps(as_dict(CLOUD, values)))
    else:
        print("\n".join(as_lines(CLOUD, values)))
    return 0


def path(_: argparse.Namespace) -> int:
    """Tell where the file is; returns the exit status.

    Raises:
        InputError: nowhere.
    """
    return tell_path(CLOUD)


def _without_secret(value: object) -> object:
    return SECRET.sub("(a token, not shown)", str(value)) if isinstance(value, str | Path) else value
