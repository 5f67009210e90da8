"""Which of the targets here a session means: the one that it names, so that no other goes on with its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cloud_target.engine.interface import Description, Engine
from shared.errors import OtherTarget, ProtocolError
from shared.wire import codec

# Characters of a target's name that stand in a sentence.
_LONGEST_NAME = 64


def targets_of(engine: Engine) -> tuple[Description, ...]:
    """The targets that an engine serves; the first is meant where a session names none. Each adapter makes one more."""
    base = engine.description
    adapted = [
        replace(base, name=f"{base.name} with {one.name}", fingerprint=one.fingerprint, adapters=())
        for one in base.adapters
    ]
    return base, *adapted


def meant(wanted: str, here: Sequence[Description]) -> Description:
    """The target that is to write a text.

    Args:
        wanted: its fingerprint, as `Describe` gives it; "" of edges from before the field, which mean whoever is here.
        here: the targets that there are, one or more.

    Raises:
        ProtocolError: no fingerprint.
        OtherTarget: it is none of these.
    """
    if not wanted:
        return here[0]
    if len(wanted) > codec.LONGEST_FINGERPRINT or not (wanted.isascii() and wanted.isprintable()):
        raise ProtocolError("a session names its target by the fingerprint that Describe gives; send that, or nothing")
    for target in here:
        if target.fingerprint == wanted:
            return target
    others = " or ".join(f"{target.name[:_LONGEST_NAME]} ({target.fingerprint[:8]})" for target in here)
    raise OtherTarget(
        f"it is a text of the target {wanted[:8]}, and here is {others}; begin it anew to have it written here"
    )
