"""The text that the target holds, as far as the edge was told."""

from __future__ import annotations

from collections.abc import Sequence

from shared import prefix_hash as prefix


class Known:
    """A prefix of the text, and its hash; grows at the cost of what is new.

    Attributes:
        hash: of all of it, as in `shared/prefix_hash.py`.
    """

    def __init__(self) -> None:
        self._ids: list[int] = []
        self.hash = 0

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Sequence[int]) -> None:
        """The target knows these tokens too."""
        self._ids += ids
        self.hash = prefix.extend(self.hash, ids)

    def keep(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if length < len(self._ids):
            del self._ids[length:]
            self.hash = prefix.extend(0, self._ids)

    def align(self, ids: Sequence[int]) -> None:
        """Keep what `ids` begins with."""
        length = min(len(self._ids), len(ids))
        if self._ids[:length] != list(ids[:length]):
            length = next(i for i in range(length) if self._ids[i] != ids[i])
        self.keep(length)
