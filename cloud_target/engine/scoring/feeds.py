"""Which rows of a pass are scored for which feeds, and the scores of each feed among those of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.lineage import depths
from cloud_target.engine.scoring.masking import forbid
from cloud_target.engine.scoring.score import Row, RowScores
from shared.config import Coupling
from shared.wire.codec import AuditedTokens


def masked(logits: torch.Tensor, feeds: Sequence[Feed]) -> torch.Tensor:
    """The logits of all rows, without the tokens that grammars forbid there."""
    first = 0
    for feed in feeds:
        count = len(feed.tokens) - feed.score_from
        if feed.masks is not None:
            logits = forbid(logits, first, feed.masks.rows(feed))
        first += count
    return logits


def rows_of(feed: Feed) -> Iterator[Row]:
    """The rows that are scored for a feed, in order."""
    count = feed.needed
    judged_from = count - len(feed.q) if feed.coupling is Coupling.RESIDUAL else count
    for i in range(feed.score_from, count):
        given = feed.tokens[i + 1] if i + 1 < count else None
        q = feed.q[i + 1 - judged_from] if judged_from <= i + 1 < count else None
        yield Row(feed.start + i + 1, feed.sampling, given, q)
    if feed.spare:
        for depth in depths(feed.follows())[count:]:
            yield Row(feed.start + depth + 1, feed.sampling)


def beside_of(feeds: Sequence[Feed]) -> list[tuple[int, int]]:
    """The guesses, each with the row of the token that it follows."""
    found, first = [], 0
    for feed in feeds:
        before = first - feed.score_from
        if feed.spare:
            follows = feed.follows()
            found += [(before + follows[i], feed.tokens[i]) for i in range(feed.needed, len(feed.tokens))]
        first = before + len(feed.tokens)
    return found


def of_feeds(feeds: Sequence[Feed], rows: RowScores) -> list[Scores]:
    """Of all rows those of each feed."""
    found: list[Scores] = []
    first = guess = 0
    for feed in feeds:
        before = first - feed.score_from
        sure, end = slice(first, before + feed.needed - 1), before + len(feed.tokens)
        guesses = slice(guess, guess + feed.spare)
        off_strict = rows.off_strict[sure]
        if feed.spare:
            followed = [before + parent for parent in feed.follows()[feed.needed :]]
            off_strict = np.append(off_strict, rows.own[followed] != feed.tokens[feed.needed :])
        given = AuditedTokens(
            off_strict,
            np.append(rows.unlikely[sure], rows.beside_unlikely[guesses]),
            np.append(rows.nll[sure], rows.beside_nll[guesses]),
        )
        own = slice(first, end)
        found.append(Scores(rows.own[own], rows.own_nll[own], rows.own_unlikely[own], given, guesses=feed.spare))
        first, guess = end, guesses.stop
    return found
