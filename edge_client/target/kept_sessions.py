"""Sessions whose texts are over, kept for texts that go on from them: the target need not read those again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from edge_client.settings import SHORTEST_KEPT
from shared.prefix_hash import common


@dataclass(frozen=True)
class Kept:
    """A session that nobody uses.

    Attributes:
        session_id: by which the target knows it.
        ids: what it holds, as far as the edge was told.
        target: fingerprint of who reads it.
    """

    session_id: bytes
    ids: Sequence[int]
    target: str = ""


class KeptSessions:
    """The last few, each lent to one text at a time.

    Args:
        most: how many.
        release: has the target forget a session; never blocks.
    """

    def __init__(self, most: int, release: Callable[[bytes], None]) -> None:
        self._most = most
        self._release = release
        self._kept: list[Kept] = []
        self._lock = Lock()

    def take(self, prompt: Sequence[int], target: str = "") -> Kept | None:
        """That of a target which holds most of what `prompt` begins with, cut to that; the last token is left to be
        read anew."""
        with self._lock:
            most = len(prompt) - 1
            lengths = [min(common(kept.ids, prompt), most) * (kept.target == target) for kept in self._kept]
            longest = max(lengths, default=0)
            if longest < SHORTEST_KEPT:
                return None
            return Kept(self._kept.pop(lengths.index(longest)).session_id, prompt[:longest], target)

    def give(self, kept: Kept) -> None:
        """Keep one; if those are too many, that goes which nobody has wanted for longest."""
        with self._lock:
            self._kept.append(kept)
            gone = self._kept.pop(0) if len(self._kept) > self._most else None
        if gone is not None:
            self._release(gone.session_id)

    def close(self) -> None:
        """Have the target forget them all."""
        with self._lock:
            kept, self._kept = self._kept, []
        for one in kept:
            self._release(one.session_id)
