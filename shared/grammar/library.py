"""llguidance, the library that both sides follow grammars with: loaded where a text needs it, and never before."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from shared.extras import missing

_NAME = "llguidance"


@cache
def version() -> str:
    """Which grammars this installation follows, as sides tell each other: "llguidance 1.9.1"; "" where it has none.

    What a grammar allows is the same for two sides only where that is.
    """
    from importlib import metadata  # takes long, as in shared/version.py

    try:
        return f"{_NAME} {metadata.version(_NAME)}"
    except metadata.PackageNotFoundError:
        return ""


def llguidance() -> ModuleType:
    """The library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import llguidance
    except ImportError as error:
        if (sentence := missing(error, "a text that keeps to a schema", "edge")) is not None:
            raise sentence from None
        raise
    return llguidance
