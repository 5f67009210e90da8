"""What an edge thinks that the target will write next: guesses that wait until a pass can judge them.

They are kept by what stands before them, so all that an edge sends adds up to one tree, whenever it comes: what hangs
on a token that did not come is never looked up again, and what hangs on the one that came instead is there already.
"""

from __future__ import annotations

from collections import OrderedDict

from shared import prefix_hash as prefix
from shared.wire.guesses import TEXT, GuessTree

# Two of the largest trees. What was sent before them was most likely about a text that has come out otherwise.
MOST_KEPT = 512


class Guesses:
    """The guesses of one stream: for every text, what may follow it, the likeliest first."""

    def __init__(self) -> None:
        # By the hash of a text, the least recently sent first: its length, and what may follow it, the likeliest first.
        self._after: OrderedDict[int, tuple[int, dict[int, None]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, tree: GuessTree) -> None:
        """Keep the nodes of a tree. Those sent longest ago make room."""
        lengths: list[int] = []
        hashes: list[int] = []
        for token, parent in zip(tree.tokens, tree.parents, strict=True):
            length, text = (tree.position, tree.prefix_hash) if parent == TEXT else (lengths[parent], hashes[parent])
            _, tokens = self._after.setdefault(text, (length, {}))
            self._after.move_to_end(text)
            self._count += token not in tokens
            tokens.setdefault(token)
            lengths.append(length + 1)
            hashes.append(prefix.extend(text, (token,)))
        while self._count > MOST_KEPT:
            self._forget_oldest()

    def line(self, length: int, prefix_hash: int, most: int) -> tuple[int, ...]:
        """The likeliest tokens after a text, at most so many, each following the one before.

        Args:
            length: of the text, tokens; the next one may only be longer, so what was to follow shorter ones may go.
            prefix_hash: of the text.
        """
        while self._after and next(iter(self._after.values()))[0] < length:
            self._forget_oldest()
        found: list[int] = []
        while len(found) < most and (after := self._after.get(prefix_hash)) is not None:
            token = next(iter(after[1]))
            found.append(token)
            prefix_hash = prefix.extend(prefix_hash, (token,))
        return tuple(found)

    def _forget_oldest(self) -> None:
        _, (_, tokens) = self._after.popitem(last=False)
        self._count -= len(tokens)
