"""Numbers on the command line: text in, value out. What a number may be is said where it is used."""

from __future__ import annotations

import argparse


def number(text: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None


def whole(text: str) -> int:
    """Any whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def share(text: str) -> float:
    """A number, or so many per cent: "0.01" is "1%"."""
    bare = text.strip()
    try:
        return float(bare[:-1]) / 100 if bare.endswith("%") else float(bare)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, or per cent such as 1%, not {text!r}") from None
