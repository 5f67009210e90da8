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
from cloud_target.training.models import run
from cloud_target.training.own_text import LONGEST_OPENING, OWN_SAMPLINGS, continue_texts, write_own_text
from cloud_target.training.teacher import SoftTargets, ask_teacher
from cloud_target.training.work import Stage, Work
from shared.config import Sampling

# Tokens of a row that the draft learns from; what is longer is cut.
WIDTH = 512
# Tokens of a part.
PART = 16_384
RUN_LENGTH = 160
_LARGEST_BATCH = 48
# Tokens that are tried, to say how long it will take.
_TRIED = 8
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
    work: Work, models: Models, documents: Sequence[np.ndarray], settings: Settings, tell: Callable[[str], None]
) -> list[Stage]:
    """All parts, as stages that `load` reads."""
    width = min(WIDTH, models.context)
    parts = [*_own_parts(models, documents, settings, width), *_corpus_parts(documents, settings.corpus_tokens, width)]
    at_once = _batch(min(settings.own_tokens, PART))
    left = TimeLeft(sum(part.weight for part in parts), lambda: writing_speed(models, documents, at_once))
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


def _sizes(tokens: int) -> list[int]:
    """Of parts of about `PART` that are `tokens` together."""
    count = max(1, round(tokens / PART))
    return [tokens * (i + 1) // count - tokens * i // count for i in range(count)]


def _own_parts(models: Models, documents: Sequence[np.ndarray], settings: Settings, width: int) -> Iterator[_Part]:
    for number, tokens in enumerate(_sizes(settings.own_tokens)):

        def write(number: int = number, tokens: int = tokens) -> Sequence[np.ndarray]:
            return write_own_text(
                models.target,
                documents,
                np.roll(np.array(OWN_SAMPLINGS, object), -3 * number).tolist(),  # a part has only a few of them
                RUN_LENGTH,
                tokens,
                models.ends,
                longest_opening=min(LONGEST_OPENING, width // 2),
                context=width,
                batch=_batch(tokens),
                seed=1000 * settings.seed + number,
            ).documents

        yield _Part(f"own-{number + 1:03}", tokens, tokens, write)


def _corpus_parts(documents: Sequence[np.ndarray], tokens: int, width: int) -> Iterator[_Part]:
    """The first documents that hold about `tokens` tokens."""
    waiting: list[np.ndarray] = []
    number = 0
    for document in documents:
        if tokens <= 0:
            break
        waiting.append(document[:width])
        tokens -= len(waiting[-1])
        size = sum(map(len, waiting))
        if size >= PART or tokens <= 0:
            number += 1
            yield _Part(f"corpus-{number:03}", size, size / _READS, partial(list, waiting))
            waiting = []
    if waiting:
        size = sum(map(len, waiting))
        yield _Part(f"corpus-{number + 1:03}", size, size / _READS, partial(list, waiting))


def _batch(tokens: int) -> int:
    """Texts that are written at once, so that a part has openings of two lengths or more."""
    return min(max(tokens // (2 * RUN_LENGTH), 4), _LARGEST_BATCH)


def writing_speed(models: Models, documents: Sequence[np.ndarray], batch: int) -> float:
    """Tokens a second that the target writes, `batch` texts at once, and then reads again; tried on a few."""
    opening = min(_TRIED, *(len(document) for document in documents))
    rows = np.stack([document[:opening] for document in documents[:batch]])
    started = time.monotonic()
    generator = torch.Generator(models.target.device).manual_seed(0)
    text = continue_texts(models.target, rows, min(_TRIED, models.context - opening), Sampling(), [], generator)
    with torch.inference_mode():
        run(models.target, text)
    return text[:, opening:].size / (time.monotonic() - started)
