"""What is said of errors about values: where each of them comes from."""

from __future__ import annotations

import argparse

from shared.configuration.told import told
from shared.errors import TandemError


def told_of(error: TandemError, arguments: argparse.Namespace) -> str:
    """An error's sentence, with where the values are that it is about, as far as the command has them as options."""
    origins = getattr(arguments, "origins", {})
    error.options = tuple(option for option in error.options if option in origins)
    return told(error, origins)
