"""What the draft learns from: the target's own text and the corpus, with what the target expects after each token.

Both are made in parts, each a stage that is kept, so that a run that is cut loses a minute or two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cloud_target.distil.models import Models
from cloud_target.distil.settings import Settings
from cloud_target.distil.words import TimeLeft
from cloud_target.distil.writing import TRIED, Writer
from cloud_target.training.models import run
from cloud_target.training.own_text import OWN_SAMPLINGS, continue_texts
from cloud_target.training.teacher import SoftTargets, ask_teacher
from cloud_target.training.work import Stage, Work
from shared.config import Sampling

# Tokens of a row that the draft learns from; what is longer is cut.
WIDTH = 512
# Tokens of a part.
PART = 16_384
RUN_LENGTH = 160
LARGEST_BATCH = 48  # on a CPU
# Of a device with many more cores, whose parts are larger too.
_WIDER = 16
# So much faster than it writes does the target read.
_READS = 4


@dataclass(frozen=True)
class _Part:
    """Of the text.

    Attributes:
        name: of its stage.
        tokens: about so many.
        weight: how long it takes, beside other parts.
        texts: makes it.
    """

    name: str
    tokens: int
    weight: float
    texts: Callable[[], Sequence[np.ndarray]]


def make(
    work: Work,
    models: Models,
    writer: Writer,
    documents: Sequence[np.ndarray],
    settings: Settings,
    tell: Callable[[str], None],
) -> list[Stage]:
    """All parts, as stages that `load` reads: what `writer` writes, and `documents`."""
    width = min(WIDTH, models.context)
    on_cpu = settings.device == "cpu"
    largest = LARGEST_BATCH if on_cpu else LARGEST_BATCH * _WIDER
    size = PART if on_cpu else PART * _WIDER
    parts = [
        *_own_parts(writer, settings, width, size, largest),
        *_corpus_parts(documents, settings.corpus_tokens, width, size),
    ]
    at_once = _batch(min(settings.own_tokens, size), largest)
    left = TimeLeft(sum(part.weight for part in parts), lambda: writing_speed(models, writer, at_once))
    stages = []
    for part in parts:

        def write(directory: Path, part: _Part = part) -> None:
            tell(f"  {part.name}, {part.tokens} tokens; about {left} until all parts are there")
            with left.doing(part.weight):
                texts = [text[:width] for text in part.texts()]
                ask_teacher(models.target, texts).save(directory / "targets.npz")

        stages.append(work.stage(part.name, {"tokens": part.tokens}, write))
        left.reach(sum(part.weight for part in parts[: len(stages)]))
    return stages


def load(stages: Sequence[Stage]) -> SoftTargets:
    """What `make` made, in one."""
    return SoftTargets.join([SoftTargets.load(stage / "targets.npz") for stage in stages])


def _sizes(tokens: int, part: int) -> list[int]:
    """Of parts of about `part` that are `tokens` together."""
    count = max(1, round(tokens / part))
    return [tokens * (i + 1) // count - tokens * i // count for i in range(count)]


def _own_parts(writer: Writer, settings: Settings, width: int, part: int, largest: int) -> Iterator[_Part]:
    for number, tokens in enumerate(_sizes(settings.own_tokens, part)):

        def write(number: int = number, tokens: int = tokens) -> Sequence[np.ndarray]:
            samplings = np.roll(np.array(OWN_SAMPLINGS, object), -3 * number).tolist()  # a part has only a few of them
            batch, seed = _batch(tokens, largest), 1000 * settings.seed + number
            return writer.write(samplings, RUN_LENGTH, tokens, width, batch, seed).documents

        yield _Part(f"own-{number + 1:03}", tokens, tokens, write)


def _corpus_parts(documents: Sequence[np.ndarray], tokens: int, width: int, most: int = PART) -> Iterator[_Part]:
    """The first documents that hold about `tokens` tokens."""
    waiting: list[np.ndarray] = []
    number = 0
    for document in documents:
        if tokens <= 0:
            break
        waiting.append(document[:width])
        tokens -= len(waiting[-1])
        size = sum(map(len, waiting))
        if size >= most or tokens <= 0:
            number += 1
            yield _Part(f"corpus-{number:03}", size, size / _READS, partial(list, waiting))
            waiting = []
    if waiting:
        size = sum(map(len, waiting))
        yield _Part(f"corpus-{number + 1:03}", size, size / _READS, partial(list, waiting))


def _batch(tokens: int, largest: int) -> int:
    """Texts that are written at once, so that a part has openings of two lengths or more."""
    return min(max(tokens // (2 * RUN_LENGTH), 4), largest)


def writing_speed(models: Models, writer: Writer, batch: int) -> float:
    """Tokens a second that the target writes, `batch` texts at once, and then reads again; tried on a few."""
    rows = writer.beginnings(batch)
    opening = rows.shape[1]
    started = time.monotonic()
    generator = torch.Generator(models.target.device).manual_seed(0)
    text = continue_texts(models.target, rows, min(TRIED, models.context - opening), Sampling(), [], generator)
    with torch.inference_mode():
        run(models.target, text)
    return text[:, opening:].size / (time.monotonic() - started)
