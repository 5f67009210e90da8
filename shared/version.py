"""Which version of Tandem this is: what the installation says, looked up when somebody asks."""

from __future__ import annotations

import argparse
from typing import Any

DISTRIBUTION = "tandem-inference"


def version() -> str:
    """The version that is installed; "unknown" where the code runs without an installation."""
    # Not above: this import takes longer than all that `--help` needs.
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def add_version_option(parser: argparse.ArgumentParser) -> None:
    """Give a command line `--version`, which prints the program's name and version and ends the process."""
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")


class _Version(argparse.Action):
    """What argparse's own action does, without asking for the version before somebody wants it."""

    def __init__(self, option_strings: list[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(parser.prog, version())
        parser.exit()
