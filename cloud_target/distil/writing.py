"""How the target writes for a run: it goes on from openings of documents, or makes up conversations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from cloud_target.distil.models import Models
from cloud_target.training.conversations import Frame, write_conversations
from cloud_target.training.own_text import LONGEST_OPENING, OwnText, write_own_text
from shared.config import Sampling

# Tokens of what texts may begin with, at most.
TRIED = 8


class Writer(Protocol):
    """Lets the target write."""

    def write(
        self, samplings: Sequence[Sampling], length: int, tokens: int, context: int, batch: int, seed: int
    ) -> OwnText:
        """About `tokens` tokens, `length` a text at most, `batch` texts at once, each drawn in one of `samplings`."""

    def beginnings(self, batch: int) -> np.ndarray:
        """Ids that `batch` texts may begin with, ``int64 [batch or fewer, n]``."""


class FromDocuments:
    """The target goes on from openings of `documents`."""

    def __init__(self, models: Models, documents: Sequence[np.ndarray]) -> None:
        self._models, self._documents = models, documents

    def write(
        self, samplings: Sequence[Sampling], length: int, tokens: int, context: int, batch: int, seed: int
    ) -> OwnText:
        longest = min(LONGEST_OPENING, context // 2)
        model, ends = self._models.target, self._models.ends
        return write_own_text(
            model, self._documents, samplings, length, tokens, ends,
            longest_opening=longest, context=context, batch=batch, seed=seed,
        )  # fmt: skip

    def beginnings(self, batch: int) -> np.ndarray:
        opening = min(TRIED, *(len(document) for document in self._documents))
        return np.stack([document[:opening] for document in self._documents[:batch]]).astype(np.int64)


class FromNothing:
    """The target makes up conversations, in the frame of its template."""

    def __init__(self, models: Models) -> None:
        self._models = models

    @cached_property
    def _frame(self) -> Frame:
        return Frame.of(self._models.tokens, self._models.ends)

    def write(
        self, samplings: Sequence[Sampling], length: int, tokens: int, context: int, batch: int, seed: int
    ) -> OwnText:
        model, ends = self._models.target, self._models.ends
        return write_conversations(model, self._frame, samplings, length, tokens, ends, context, batch, seed)

    def beginnings(self, batch: int) -> np.ndarray:
        return np.repeat(self._frame.before[None], batch, 0)
