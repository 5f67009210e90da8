"""Chunked prefill: which tokens of a long feed are read next, and the scores of all its chunks put together.

Every chunk is an ordinary feed. Where a chunk ends among the rows to be scored, its last token is read once more by the
next one, because a row is scored against the token after it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cloud_target.engine.interface import Feed, Scores
from shared.wire.codec import AuditedTokens


class ChunkedFeed:
    """One feed, cut into chunks as it is read.

    Attributes:
        feed: the whole.
        read: how many of its tokens have been read.
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.read = 0
        self._scores: list[Scores] = []

    @property
    def left(self) -> int:
        """How many tokens the rest takes, without guesses."""
        return self.feed.needed - self._begin

    @property
    def done(self) -> bool:
        """Whether all of it has been read."""
        return self.read >= self.feed.needed

    @property
    def _begin(self) -> int:
        return self.read - (self.read > self.feed.score_from)

    def next(self, most: int) -> Feed:
        """The next chunk, of at most `most` tokens, 2 or more; guesses come with a feed that is read as a whole."""
        feed, begin, count = self.feed, self._begin, self.feed.needed
        end = min(begin + most, count)
        if (begin, end) == (0, count):
            return feed
        score_from = min(max(feed.score_from, begin), end - 1)
        first_q = count - len(feed.q)
        q = tuple(feed.q[i - first_q] for i in range(max(score_from + 1, first_q), end))
        return replace(
            feed,
            start=feed.start + begin,
            tokens=feed.tokens[begin:end],
            score_from=score_from - begin,
            q=q,
            spare=0,
            parents=(),
            kept=() if begin else feed.kept,
            # Before the rows that were asked for, a chunk's own last row is nobody's.
            masks=feed.masks if end > feed.score_from else None,
        )

    def add(self, chunk: Feed, scores: Scores) -> None:
        """Take note of what `chunk` gave."""
        self.read = chunk.end - self.feed.start
        if self.done:
            self._scores.append(scores)
        elif rows := len(scores.own) - 1:  # the last row waits for the token after it
            own = scores.own[:rows], scores.own_nll[:rows], scores.own_unlikely[:rows]
            self._scores.append(Scores(*own, scores.given))

    def scores(self) -> Scores:
        """The scores of the whole feed, once all of it has been read."""
        if len(self._scores) == 1:
            return self._scores[0]
        chunks = self._scores
        given = zip(*((s.given.off_strict, s.given.unlikely, s.given.nll) for s in chunks), strict=True)
        return Scores(
            np.concatenate([s.own for s in chunks]),
            np.concatenate([s.own_nll for s in chunks]),
            np.concatenate([s.own_unlikely for s in chunks]),
            AuditedTokens(*map(np.concatenate, given)),
        )
