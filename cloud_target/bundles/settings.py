"""Which bundle a server offers, and how much that may cost it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Calls at once: each holds a chunk, and one more waits in the connection.
FETCHES = 16


@dataclass(frozen=True)
class BundleSettings:
    """By default none is offered.

    Attributes:
        directory: of the bundle; None offers none.
        fetches: calls that send it at once; more are told to come back.
    """

    directory: Path | None = None
    fetches: int = FETCHES
