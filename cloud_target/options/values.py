"""The values that options take: text of the command line in, value out."""

from __future__ import annotations

import argparse
import math
import re

from shared.errors import InputError
from shared.paths import typed_path
from shared.sizes import parse_size

# What things may be called that others name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def count(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole(text, 1, None)


def above_zero(text: str) -> float:
    """A number above 0, such as minutes."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def zero_or_more(text: str) -> float:
    """A number of 0 or more, such as minutes of which 0 means none."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of 0 or more, not {text!r}")
    return value


def port(text: str) -> int:
    """A port to listen on; 0 picks a free one."""
    return _whole(text, 0, (1 << 16) - 1)


def seed(text: str) -> int:
    """A seed of whatever is random."""
    return _whole(text, 0, (1 << 32) - 1)


def size(text: str) -> int:
    """Bytes, such as "2GiB"."""
    try:
        return parse_size(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def named_directory(text: str) -> str:
    """A directory and what it is called, "NAME=DIR"; the home that `~` stands for is put in its place."""
    name, _, path = text.partition("=")
    if not (path and _NAME.fullmatch(name)):
        raise argparse.ArgumentTypeError(
            "must be NAME=DIR, the name of at most 64 letters, digits, dots, dashes and underscores, not " + repr(text)
        )
    return f"{name}={typed_path(path)}"


def span(text: str) -> tuple[int, int]:
    """Two whole numbers, "A:B"; "A" alone is both."""
    first, _, last = text.partition(":")
    return int(first), int(last or first)


# argparse names this in "invalid ... value".
span.__name__ = "span A:B"


def _whole(text: str, least: int, most: int | None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least or (most is not None and value > most):
        which = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"must be a whole number {which}, not {text!r}")
    return value
