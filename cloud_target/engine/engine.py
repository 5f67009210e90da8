"""The target as an engine: feeds of several texts in, scores out, one forward pass over the slot cache."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cloud_target.engine.cache import MaskMaker, Placement, SlotCache
from cloud_target.engine.fitness import refuse_unfit, refuse_unlike
from cloud_target.engine.interface import Feed, Scores, check_feeds
from cloud_target.engine.model import LoadedTarget
from cloud_target.engine.score import Row, RowScores, score
from shared.config import Coupling
from shared.errors import InputError, TargetError
from shared.wire.codec import AuditedTokens

SLOTS = 8
# The default context is the model's own, up to here: the cache is allocated in full.
CONTEXT = 4096
# Most tokens of one text in one pass; longer feeds take several, so that activations and logits stay small.
CHUNK = 512


@dataclass(frozen=True)
class _Piece:
    """The tokens ``[begin, end)`` of a feed, of which those from `score_from` on are scored."""

    feed: Feed
    begin: int
    end: int

    @property
    def score_from(self) -> int:
        return min(max(self.feed.score_from, self.begin), self.end)

    def rows(self) -> Iterator[Row]:
        feed, count = self.feed, len(self.feed.tokens)
        judged_from = count - len(feed.q) if feed.coupling is Coupling.RESIDUAL else count
        for i in range(self.score_from, self.end):
            given = feed.tokens[i + 1] if i + 1 < count else None
            q = feed.q[i + 1 - judged_from] if judged_from <= i + 1 < count else None
            yield Row(feed.start + i + 1, feed.sampling, given, q)


class TargetEngine:
    """An `Engine` over a Hugging Face causal language model.

    Args:
        target: see `load_target`.
        slots: how many texts the cache holds.
        context: longest text in tokens; by default the model's own, at most 4096.

    Raises:
        InputError: the model cannot be served, the context is longer than the model's, or there is no memory.
    """

    def __init__(self, target: LoadedTarget, slots: int = SLOTS, context: int | None = None) -> None:
        self.model, self.description, self.slots = target.model, target.description, slots
        self.device = target.model.device
        refuse_unfit(self.model)
        config = self.model.config.get_text_config()
        longest = getattr(config, "max_position_embeddings", None)
        if context and longest and context > longest:
            raise InputError(f"{self.description.name} takes at most {longest} tokens; --context {context} is too long")
        self.context = context or min(longest or CONTEXT, CONTEXT)
        self._masks = MaskMaker(self.model)
        self._keeps_logits = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        self._cache = SlotCache(slots, self.context)
        refuse_unlike(self)

    @torch.inference_mode()
    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        """Read all feeds and score their rows; only small arrays leave the device.

        Raises:
            ValueError: a feed that the caller must not make.
            TargetError: the model's arithmetic gave no numbers.
        """
        check_feeds(self, feeds)
        scored: dict[int, list[RowScores]] = {feed.slot: [] for feed in feeds}
        for begin in range(0, max(len(feed.tokens) for feed in feeds), CHUNK):
            pieces = [
                _Piece(feed, begin, min(begin + CHUNK, len(feed.tokens)))
                for feed in sorted(feeds, key=lambda feed: feed.slot)  # neighbouring slots need no copy
                if begin < len(feed.tokens)
            ]
            self._score(pieces, scored)
        return [_scores(scored[feed.slot]) for feed in feeds]

    def _score(self, pieces: Sequence[_Piece], scored: dict[int, list[RowScores]]) -> None:
        """Run one pass over the pieces and add the scores of each to those of its slot."""
        rows = [list(piece.rows()) for piece in pieces]
        logits = self.run(
            [(p.feed.slot, p.feed.start + p.begin, p.feed.tokens[p.begin : p.end]) for p in pieces],
            list(map(len, rows)),
        )
        if not len(logits):
            return
        result, first = score(logits, [row for part in rows for row in part]), 0
        if not np.isfinite(result.own_nll).all():
            raise TargetError(
                f"the target's arithmetic in {self.description.dtype} gave no numbers; use another --dtype"
            )
        for piece, part in zip(pieces, rows, strict=True):
            scored[piece.feed.slot].append(RowScores(*(column[first : first + len(part)] for column in result)))
            first += len(part)

    @torch.inference_mode()
    def run(self, texts: Sequence[tuple[int, int, Sequence[int]]], keep: Sequence[int]) -> torch.Tensor:
        """One pass over (slot, start, tokens) of different slots.

        Returns:
            The logits of the last `keep[i]` tokens of each text, one after the other, ``float32 [N, vocabulary]``.
        """
        lengths = [len(tokens) for _, _, tokens in texts]
        self._cache.placement = place = Placement.of(
            [(slot, start, length) for (slot, start, _), length in zip(texts, lengths, strict=True)],
            self.context,
            self.device,
        )
        width, most = max(lengths), max(keep)
        ids = torch.tensor([[0] * (width - len(tokens)) + list(tokens) for _, _, tokens in texts], device=self.device)
        logits = self.model(
            input_ids=ids,
            attention_mask=self._masks.make(self._cache),
            position_ids=place.positions.where(place.positions < self.context, 0),
            past_key_values=self._cache,
            use_cache=True,
            **({"logits_to_keep": max(most, 1)} if self._keeps_logits else {}),
        ).logits
        # Texts are padded on the left, so the rows that matter are the last ones of each.
        rows = [logits[i, logits.shape[1] - count :, : self.description.vocabulary] for i, count in enumerate(keep)]
        return torch.cat(rows).float()


def _scores(parts: Sequence[RowScores]) -> Scores:
    """All rows of one feed; the last has no token after it."""
    own, own_nll, *given = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Scores(own, own_nll, AuditedTokens(*(column[:-1] for column in given)))
