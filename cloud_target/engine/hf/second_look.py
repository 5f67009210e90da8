"""Answers that hang on how a sum was rounded, decided in one way for every text.

A token that is nearly as good as another may win in a pass over eight texts and lose in a pass over one. So where that
could be (`cloud_target/engine/scoring/closeness.py`), the text is read once more: alone, whole and without a cache, by
transformers' own code. What that says depends on nothing but the text, and it is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cloud_target.engine.hf.passes import Passes, Text
from cloud_target.engine.hf.trial import alone, trial_text
from cloud_target.engine.interface import Feed

# How much farther off a logit is taken to be than any was in the trial: that is of one text, and others are less even.
_CAUTION = 8.0
# No logit is taken to be nearer than this, for a trial may come out equal.
_LEAST_SLACK = 1e-5
# The trial: tokens of its text, of how many of the last ones the logits are compared, and the sizes of the parts that
# those before are read in, the last ones being read one by one.
_TRIED, _COMPARED, _PARTS = 64, 4, (7, 64)


class SecondLook:
    """Reads a text the way that counts.

    Args:
        passes: how the engine runs its model; used with slot 0, which is empty afterwards.
        context: longest text in tokens.

    Attributes:
        slack: how far a logit of `passes` may be from what counts, in either direction.
    """

    def __init__(self, passes: Passes, context: int) -> None:
        self._model, self._vocabulary = passes.model, passes.vocabulary
        self._usual = self._whole = self._model.config._attn_implementation
        length = min(context, _TRIED)
        try:
            farthest = self._farthest(passes, length)
        except NotImplementedError:  # packed attention outside a pass knows less than the checkpoint's own
            self._whole = "eager"
            farthest = self._farthest(passes, length)
        self.slack = max(_CAUTION * farthest, _LEAST_SLACK)

    def logits(self, tokens: Sequence[int]) -> torch.Tensor:
        """What comes after a text, ``float32 [1, vocabulary]``."""
        if self._whole != self._usual:
            self._model.set_attn_implementation(self._whole)
        try:
            return alone(self._model, list(tokens), self._vocabulary, keep=1)
        finally:
            if self._whole != self._usual:
                self._model.set_attn_implementation(self._usual)

    def _farthest(self, passes: Passes, length: int) -> float:
        """The largest distance of a logit from what counts, over a text that is read in several parts."""
        text, farthest = trial_text(length, self._vocabulary), 0.0
        late = range(max(length - _COMPARED, 0), length)
        truths = [self.logits(text[: index + 1]) for index in late]
        for size in _PARTS:
            for begin in range(0, late.start, size):
                passes.run([Text(0, begin, text[begin : min(begin + size, late.start)])], [1])
            for index, truth in zip(late, truths, strict=True):
                found = passes.run([Text(0, index, text[index : index + 1])], [1])
                farthest = max(farthest, _distance(found, truth))
            passes.trim(0)
        return farthest


def prefix_of(feed: Feed, index: int) -> list[int]:
    """The text that ends with a token of a feed, all ids."""
    path, follows = [], feed.follows()
    while index >= 0:
        path.append(feed.tokens[index])
        index = follows[index]
    return [*feed.text[: feed.start], *reversed(path)]


def _distance(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """The largest difference of two logits, where all may be off together."""
    difference = (logits - truth).double().cpu().numpy()
    return float(np.abs(difference - np.median(difference)).max())
