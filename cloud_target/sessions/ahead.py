"""What a pass has read of texts that may come, and what the target thinks there: kept until it is known which does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cloud_target.engine.interface import Feed, Scores
from shared import prefix_hash as prefix
from shared.config import Sampling


@dataclass(frozen=True)
class Ahead:
    """The scored tokens of the last feed of a slot, which holds them still, guesses and all.

    Attributes:
        sampling: how the target's own tokens were drawn.
        grammar: what they had to keep to, see `Masks`; None where that is nothing.
        first: place in the slot of the first of them.
        rows: the number of each, by the hash of the text that ends with it.
        scores: of them.
    """

    sampling: Sampling
    grammar: object
    first: int
    rows: dict[int, int]
    scores: Scores

    @classmethod
    def of(cls, feed: Feed, scores: Scores, before: int) -> Ahead:
        """Take note of what a feed brought.

        Args:
            scores: of the feed, or of the same one with fewer guesses.
            before: hash of the text before it.
        """
        hashes: list[int] = []
        read = feed.tokens[: feed.needed + scores.guesses]
        for token, parent in zip(read, feed.follows(), strict=False):
            hashes.append(prefix.extend(hashes[parent] if parent >= 0 else before, (token,)))
        rows = {text: row for row, text in enumerate(hashes[feed.score_from :])}
        key = feed.masks.key if feed.masks else None
        return cls(feed.sampling, key, feed.start + feed.score_from, rows, replace(scores, queue_us=0, forward_us=0))

    @property
    def end(self) -> int:
        """The place after the last of them."""
        return self.first + len(self.scores.own)

    def place(self, text: int) -> int | None:
        """Where in the slot the last token of the text with this hash is, if it is one of them."""
        row = self.rows.get(text)
        return None if row is None else self.first + row

    def scores_of(self, texts: Sequence[int], sampling: Sampling, grammar: object = None) -> Scores | None:
        """What a feed whose scored tokens end these texts would bring, each text one token longer than the one before;
        None if not all of it is known."""
        rows = [row for text in texts if (row := self.rows.get(text)) is not None]
        same = (sampling, grammar) == (self.sampling, self.grammar)
        return self.scores.along(rows) if len(rows) == len(texts) and same else None
