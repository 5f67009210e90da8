"""The text that the target holds, as far as the edge was told."""

from __future__ import annotations

from collections.abc import Sequence

from shared import prefix_hash as prefix


class Known:
    """A prefix of the text, and its hash; grows at the cost of what is new.

    Attributes:
        ids: of it.
        hash: of all of it, as in `shared/prefix_hash.py`.
    """

    def __init__(self, ids: Sequence[int] = ()) -> None:
        self.ids: list[int] = []
        self.hash = 0
        self.extend(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def extend(self, ids: Sequence[int]) -> None:
        """The target knows these tokens too."""
        self.ids += ids
        self.hash = prefix.extend(self.hash, ids)

    def keep(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if length < len(self.ids):
            del self.ids[length:]
            self.hash = prefix.extend(0, self.ids)

    def align(self, ids: Sequence[int]) -> None:
        """Keep what `ids` begins with."""
        self.keep(prefix.common(self.ids, ids))
