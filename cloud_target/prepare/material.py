"""What becomes the verifier's rows, and how long it takes to make them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from transformers import PreTrainedModel

from cloud_target.training.label import label
from cloud_target.training.models import run
from cloud_target.training.steps import Steps
from cloud_target.training.time_left import TimeLeft
from shared.config import Sampling

# Tokens that are tried at most, to say how long it will take.
_TRIED = 512


@dataclass(frozen=True)
class Material:
    """What is labelled: texts, where each begins to be, the document each comes from, and how it is sampled."""

    documents: Sequence[np.ndarray]
    starts: np.ndarray
    sources: np.ndarray
    samplings: Sequence[Sequence[Sampling]]

    @property
    def tokens(self) -> int:
        """That both models read, once."""
        return sum(map(len, self.documents))

    @property
    def rows(self) -> int:
        """That come of it: a token gives one for each way in which its text is sampled."""
        every = zip(self.documents, self.starts.tolist(), self.samplings, strict=True)
        return sum(max(len(text) - start, 0) * len(ways) for text, start, ways in every)

    def first(self, tokens: int) -> Material:
        """Its first documents that have about `tokens` together, at least one."""
        count = 1 + int(np.searchsorted(np.cumsum([len(text) for text in self.documents[:-1]]), tokens))
        return Material(self.documents[:count], self.starts[:count], self.sources[:count], self.samplings[:count])


class Forecast:
    """How long some materials take. To read a token and to make a row of it are two things, and which of them counts
    hangs on the models: large targets read for long, and of small ones most of the time goes into rows.

    Args:
        seconds: that each takes, as it was tried; what is done corrects that.
        clock: seconds.
    """

    def __init__(self, seconds: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        self._ends = [0.0, *accumulate(seconds)]
        self._left = TimeLeft(self._ends[-1], lambda: 1.0, clock)

    @classmethod
    def of(
        cls,
        draft: Steps,
        target: PreTrainedModel,
        materials: Iterable[Material],
        clock: Callable[[], float] = time.monotonic,
    ) -> Forecast:
        """By reading and labelling a little of the first of `materials`."""
        sizes, tried = [], None
        for material in materials:
            tried = tried or material.first(_TRIED)
            sizes.append((material.tokens, material.rows))
        assert tried is not None, "there is something to label"
        times = [clock()]
        for work in (_read, _read, _label):  # the first time is a warm-up
            work(draft, target, tried)
            times.append(clock())
        _, reading, both = np.diff(times).tolist()
        token, row = reading / tried.tokens, max(both - reading, 0.0) / max(tried.rows, 1)
        return cls([tokens * token + rows * row for tokens, rows in sizes], clock)

    @contextmanager
    def doing(self, number: int) -> Iterator[TimeLeft]:
        """This one of the materials is worked on in this block; gives what is left, itself included."""
        self._left.reach(self._ends[number])
        with self._left.doing(self._ends[number + 1] - self._ends[number]):
            yield self._left


def _read(draft: Steps, target: PreTrainedModel, material: Material) -> None:
    for text in material.documents:
        ids = text[: min(draft.context, target.config.max_position_embeddings)].astype(np.int64)
        run(target, ids[None])
        draft.read(ids)


def _label(draft: Steps, target: PreTrainedModel, material: Material) -> None:
    if material.rows:
        label(draft, target, material.documents, material.samplings, material.starts)
