"""The target as an engine: feeds of several texts in, scores out, one forward pass over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from cloud_target.engine.hf.capacity import make_cache
from cloud_target.engine.hf.context import choose_context
from cloud_target.engine.hf.fitness import choose_passes, refuse_unfit
from cloud_target.engine.hf.measure import measure
from cloud_target.engine.hf.model import LoadedTarget
from cloud_target.engine.hf.passes import Text
from cloud_target.engine.hf.second_look import SecondLook, prefix_of
from cloud_target.engine.interface import Feed, Scores, Vitals, check_feeds
from cloud_target.engine.scoring.feeds import beside_of, masked, of_feeds, rows_of
from cloud_target.engine.scoring.masking import forbid
from cloud_target.engine.scoring.score import Row, RowScores, score
from shared.errors import TargetError


class TargetEngine:
    """An `Engine` over a Hugging Face causal language model.

    Args:
        target: see `load_target`.
        memory: for keys and values, bytes; by default half of what is free, and at most 1 GiB on a CPU.
        context: longest text in tokens; as in `choose_context`.
        tell: is told, in a sentence, where that is shorter.

    Attributes:
        passes: how the model runs.
        looks: how many answers were so close that a text was read again for them.

    Raises:
        InputError: the model cannot be served, the context is longer than the model's, or there is no memory.
    """

    def __init__(
        self,
        target: LoadedTarget,
        memory: int | None = None,
        context: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        model, self.description = target.model, target.description
        refuse_unfit(model)
        self.context = choose_context(model, context, self.description.name, tell)
        cache = make_cache(model, memory, self.context)
        self._store = cache.store
        self.capacity, self.block, self.token_bytes = self._store.capacity, self._store.block, self._store.token_bytes
        self.passes = choose_passes(model, cache, self.description.vocabulary, self.context)
        measured = measure(self.passes, self.context)
        self.step, self.chunk = measured.step, measured.chunk
        self.branches = self.passes.branches
        self.second_look = SecondLook(self.passes, self.context) if self.description.repeatable else None
        self.tokenizer: Tokenizer | None = target.tokenizer
        self.looks = 0

    @torch.inference_mode()
    def forward(self, feeds: Sequence[Feed]) -> list[Scores | TargetError]:
        """Read all feeds and score their rows; only small arrays leave the device. Of guesses those stay that stand.

        Returns:
            The scores of each; an error for those of which the model's arithmetic gave values that are not numbers.

        Raises:
            ValueError: a feed that the caller must not make, or more than there is room for.
            TargetError: the device has no memory for it.
        """
        check_feeds(self, feeds)
        rows = [list(rows_of(feed)) for feed in feeds]
        try:
            texts = [Text(feed.slot, feed.start, feed.tokens, feed.follows() if feed.parents else ()) for feed in feeds]
            for feed in feeds:
                if feed.kept:
                    self._store.follow(feed.slot, feed.start - len(feed.kept), feed.kept)
            logits = self.passes.run(texts, list(map(len, rows)))
            if any(feed.masks is not None for feed in feeds):
                logits = masked(logits, feeds)
            flat, beside = [row for of_feed in rows for row in of_feed], beside_of(feeds)
            look = self.second_look
            result = score(logits, flat, beside, look.slack if look else None)
            result.close[~np.isfinite(result.own_nll)] = False  # nothing to look at there, however often
            if result.close.any():
                self._look_again(feeds, flat, beside, result)
        except torch.OutOfMemoryError:
            raise TargetError(
                "the target's device has no memory left for this; its operator can give it a smaller --kv-memory"
            ) from None
        scores = of_feeds(feeds, result)
        if np.isfinite(result.own_nll).all():
            return [*scores]
        # A text may be made to give such values; those beside it in the pass have nothing to do with that.
        return [one if np.isfinite(one.own_nll).all() else self._no_numbers() for one in scores]

    def _no_numbers(self) -> TargetError:
        return TargetError(
            f"the target's arithmetic in {self.description.dtype} gave values that are not numbers; use another --dtype"
        )

    def _look_again(
        self, feeds: Sequence[Feed], rows: Sequence[Row], beside: Sequence[tuple[int, int]], result: RowScores
    ) -> None:
        """Answer the close rows anew, each alone, in the place of what was answered."""
        assert self.second_look is not None, "nothing is close without slack"
        first = 0
        for feed in feeds:
            count = len(feed.tokens) - feed.score_from
            for i in np.flatnonzero(result.close[first : first + count] if len(feed.text) >= feed.start else ()):
                row = first + int(i)
                logits = self.second_look.logits(prefix_of(feed, feed.score_from + int(i)))
                if feed.masks is not None:
                    logits = forbid(logits, 0, feed.masks.rows(feed)[i : i + 1])
                places = [place for place, (parent, _) in enumerate(beside) if parent == row]
                result.replace(row, places, score(logits, [rows[row]], [(0, beside[place][1]) for place in places]))
                self.looks += 1
            first += count

    def trim(self, slot: int, tokens: int = 0) -> None:
        """Keep only the first tokens of a slot, and none of a slot with 0."""
        self._store.trim(slot, tokens)

    @torch.inference_mode()
    def copy(self, source: int, target: int, count: int) -> None:
        """Let a slot begin with the first `count` tokens of another.

        Raises:
            ValueError: the other holds less, or there is no room.
        """
        self._store.copy(source, target, count)

    def vitals(self) -> Vitals:
        """How it is now; the memory is that of the whole process on the device, models and all."""
        device = self.passes.model.device
        if device.type != "cuda":
            return Vitals(self.looks)
        return Vitals(self.looks, torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device))

    def check_integrity(self) -> None:
        """Raise AssertionError if slots overlap or hold more than they have room for."""
        self._store.check_integrity()
