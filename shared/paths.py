"""Paths as they are typed: `~` is the user's home, also where no shell has looked at it (`--out=~/x`, quotes)."""

from __future__ import annotations

import argparse
from pathlib import Path


def typed_path(text: str) -> Path:
    """A path of a command line or of the environment.

    Raises:
        argparse.ArgumentTypeError: it begins with the home of a user who has none here.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"there is no home directory for {text}") from None


def typed_place(text: str) -> str:
    """A path, or a name of something that is no file, such as a model of the Hugging Face hub.

    Raises:
        argparse.ArgumentTypeError: as `typed_path`.
    """
    return str(typed_path(text)) if text.startswith("~") else text
