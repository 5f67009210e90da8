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

# Tokens of each material that are labelled to say how long all will take.
_TRIED = 24


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

    def sample(self) -> Material:
        """A little of its first document."""
        text = self.documents[0][: int(self.starts[0]) + _TRIED]
        return Material([text], self.starts[:1], self.sources[:1], self.samplings[:1])


class Forecast:
    """How long some materials take. To read a token and to make a row of it are two things, and which of them counts
    hangs on the models: large targets read for long, and of small ones most of the time goes into rows. Those take
    longest where tokens are drawn from the whole vocabulary.

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
        """By reading and labelling a little of each of `materials`."""
        sizes, samples = [], []
        for material in materials:
            samples.append(material.sample())
            sizes.append((material.tokens, material.rows))

        def took(work: Callable[[Steps, PreTrainedModel, Material], None], sample: Material) -> float:
            begun = clock()
            work(draft, target, sample)
            return clock() - begun

        took(_read, samples[0])  # the first time takes longer
        reading = [took(_read, sample) for sample in samples]
        both = [took(_label, sample) for sample in samples]
        token = sum(reading) / sum(sample.tokens for sample in samples)
        row = [max(b - a, 0.0) / max(s.rows, 1) for a, b, s in zip(reading, both, samples, strict=True)]
        return cls([tokens * token + rows * each for (tokens, rows), each in zip(sizes, row, strict=True)], clock)

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
        for _ in draft.pieces(ids, len(ids)):
            pass


def _label(draft: Steps, target: PreTrainedModel, material: Material) -> None:
    if material.rows:
        label(draft, target, material.documents, material.samplings, material.starts)
