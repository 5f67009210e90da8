"""Where a text stands in its grammar, and which tokens may come next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import InputError
from shared.prefix_hash import common

if TYPE_CHECKING:
    from llguidance import LLMatcher


_DEAD_END = (
    "the schema or grammar allows no token of this model at some place; give another one, or a model with tokens for "
    "all bytes and for the end of a text"
)


class Allowed:
    """The tokens that may come next, at least one.

    Attributes:
        bits: of all ids, least significant first, ``uint8 [ceil(vocabulary / 8)]``.
        count: how many there are.
        is_structure: they are less than a quarter of all ids: a key, a number, one word of a list, rather than the
            prose within a string.
    """

    __slots__ = ("bits", "count", "is_structure")

    def __init__(self, bits: np.ndarray, vocabulary: int) -> None:
        self.bits = bits
        self.count = int.from_bytes(bits.tobytes(), "little").bit_count()
        self.is_structure = 4 * self.count < vocabulary

    def has(self, ids: np.ndarray) -> np.ndarray:
        """Which of these ids, ``int64 [n]``, are among them, ``bool [n]``."""
        found: np.ndarray = self.bits[ids >> 3] >> (ids & 7) & 1
        return found.astype(bool)

    def ids(self) -> np.ndarray:
        """All of them in order, ``int64 [count]``."""
        return np.flatnonzero(np.unpackbits(self.bits, bitorder="little"))


class Cursor:
    """Follows texts through a grammar; goes on from where it is, and back, as one text differs from the one before.

    What it says of a text hangs on the text alone, whatever was asked before. Use from any thread.

    Args:
        matcher: at the beginning of the grammar; nobody else's.
        vocabulary: ids are below it.
        end: the id that the matcher knows the end by.
        end_ids: tokens that end a text.

    Attributes:
        width: bytes of a mask.
    """

    def __init__(self, matcher: LLMatcher, vocabulary: int, end: int, end_ids: Iterable[int]) -> None:
        self._matcher = matcher
        self.width = (vocabulary + 7) // 8
        self._vocabulary, self._spare = vocabulary, vocabulary % 8
        self._end, self._end_ids = end, sorted(set(end_ids))
        self._at: list[int] = []
        self._lock = Lock()

    def allowed(self, text: Sequence[int]) -> Allowed | None:
        """What may follow a text, given by all its ids from where the grammar begins.

        Tokens that end a text are allowed where the grammar is complete; where nothing else may follow, that is the
        first of them only, so that the end is certain, too.

        Returns:
            None where nothing is forbidden: behind the end, and behind a token that was not allowed itself.

        Raises:
            InputError: the grammar allows nothing there, or is too complex to be followed.
        """
        with self._lock:
            return self._next() if self._go(list(text)) else None

    def _go(self, text: list[int]) -> bool:
        """Stand behind a text, or as far in it as the grammar lets one; says whether that is all of it."""
        at, matcher = self._at, self._matcher
        same = common(at, text)
        if same < len(at):
            matcher.rollback(len(at) - same)
            del at[same:]
        new = text[same:]
        if not new:
            return True
        ended = next((i for i, token in enumerate(new) if token in self._end_ids), len(new))
        taken = matcher.try_consume_tokens(new[:ended]) if ended else 0
        at += new[:taken]
        return taken == len(new)

    def _next(self) -> Allowed:
        matcher = self._matcher
        words = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        if matcher.is_error():
            why = " ".join(matcher.get_error().split())[:300]
            if why.startswith("NoExtension"):
                raise InputError(_DEAD_END)
            raise InputError(f"the schema or grammar cannot be followed any further ({why}); give a simpler one")
        bits = words[: self.width].copy()
        if self._spare:
            bits[-1] &= (1 << self._spare) - 1
        for token in (self._end, *self._end_ids):
            if token >> 3 < self.width:
                bits[token >> 3] &= ~(1 << (token & 7)) & 0xFF
        if words[self._end >> 3] >> (self._end & 7) & 1:
            for token in self._end_ids if bits.any() else self._end_ids[:1]:
                bits[token >> 3] |= 1 << (token & 7)
        if not bits.any():
            raise InputError(_DEAD_END)
        return Allowed(bits, self._vocabulary)
