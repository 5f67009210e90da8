"""The values that options take: text of the command line in, value out."""

from __future__ import annotations

import argparse

from cloud_target.options.sizes import parse_size
from shared.errors import InputError


def count(text: str) -> int:
    """A whole number of 1 or more."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def port(text: str) -> int:
    """A port to listen on; 0 picks a free one."""
    value = int(text)
    if not 0 <= value < 1 << 16:
        raise ValueError
    return value


def size(text: str) -> int:
    """Bytes, such as "2GiB"."""
    try:
        return parse_size(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def span(text: str) -> tuple[int, int]:
    """Two whole numbers, "A:B"; "A" alone is both."""
    first, _, last = text.partition(":")
    return int(first), int(last or first)


# argparse names these in "invalid ... value".
span.__name__ = "span A:B"
