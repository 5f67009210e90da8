"""Prefix caching: a text that begins like another of its tenant need not be read again up to where they part."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cloud_target.engine.interface import Engine
from cloud_target.sessions.session import Session


@dataclass(frozen=True)
class SharedPrefix:
    """What one session can have from another.

    Attributes:
        source: the session that has read it.
        target: the session that is to have it.
        tokens: how many both begin with.
    """

    source: Session
    target: Session
    tokens: int

    def copy(self, engine: Engine) -> Callable[[], None]:
        """The change of the engine's cache that gives it."""
        origin, slot, tokens = self.source.slot, self.target.slot, self.tokens

        def change() -> None:
            try:
                engine.copy(origin, slot, tokens)
            except Exception:
                engine.trim(slot)  # so that whatever was to be read after it fails
                raise

        return change


def longest_prefix(session: Session, ids: Sequence[int], others: Iterable[Session], block: int) -> SharedPrefix | None:
    """Of some sessions, the one that has read most of the beginning of `ids`.

    Args:
        session: is about to read `ids` from the start.
        block: a copy of fewer tokens than these, beyond what the session holds already, is not worth it.
    """
    held = session.holds(ids)
    source, best = None, held + block - 1
    wanted = array("I", ids[:block])
    for other in others:
        if other is not session and other.cached > best and other.ids[:block] == wanted:
            common = other.holds(ids)
            if common > best:
                source, best = other, common
    return None if source is None else SharedPrefix(source, session, best)
