"""The verifier's rows: the exported draft's steps over the texts, and whether the target would object."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cloud_target.engine.scoring import score, uncut
from cloud_target.prepare.documents import read_split
from cloud_target.prepare.material import Forecast, Material
from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.texts import Text
from cloud_target.training import label as label_module
from cloud_target.training import models, steps
from cloud_target.training.corpus import reading
from cloud_target.training.label import Rows, label
from cloud_target.training.own_text import OwnText
from cloud_target.training.steps import GraphSteps
from cloud_target.training.work import Stage, Work, code
from shared import criteria, draw, features, mass, noise, repetition, sampling, vocabulary
from shared.config import Sampling
from shared.manifest import read_manifest

# What the rows follow from besides models, text and settings: the two serving sides' own functions.
_DRAWS = (noise, sampling, mass, vocabulary, draw, score, uncut)
_CODE = code(sys.modules[__name__], label_module, steps, models, features, *_DRAWS, criteria, repetition)
# The ways of sampling that training text is labelled with besides its own: the verifier meets them all.
MIXED = tuple(
    Sampling(temperature=t, top_k=k, top_p=p)
    for t, k, p in (
        *((0.7, 0, 0.9),) * 3,
        *((1.0, 0, 1.0),) * 2,
        *((0.0, 0, 1.0),) * 2,
        (0.5, 0, 0.95),
        (0.3, 0, 1.0),
        (0.7, 0, 1.0),
        (1.0, 0, 0.9),
        (0.8, 40, 0.95),
    )
)
# How documents of the report's split are read as they stand, without the target's own text.
READ = (Sampling(temperature=0.0, top_p=1.0), Sampling(), Sampling(temperature=1.0, top_p=1.0))
_REPORT_DOCUMENTS = 200
# Rows a token: the models read a text once, however often it is labelled.
_FEWEST_DRAWS = 2
_MOST_DRAWS = 8
_CALIBRATION_DRAWS = 2
_CORPUS_SHARE = 1 / 3  # of the rows to train on; the rest is the target's own text


class _Kind(NamedTuple):
    """One of the stages.

    Attributes:
        name: of its directory, behind "rows-".
        words: for people.
        rows: how many are wanted, or "all".
        text: that is labelled.
        material: of it, by the stage's own random numbers.
    """

    name: str
    words: str
    rows: int | str
    text: Stage
    material: Callable[[np.random.Generator], Material]


def label_texts(
    work: Work,
    pair: Pair,
    draft: Stage,
    texts: Mapping[Text, Stage],
    documents: Stage,
    settings: Settings,
    tell: Callable[[str], None],
) -> tuple[dict[Text, Stage], Stage, Stage]:
    """Label texts with one draft's graph and one target; the draft's steps are those that the edge will see.

    Args:
        work: where the rows are kept.
        pair: whose target judges.
        draft: the stage with the draft's bundle.
        texts: that the target wrote.
        documents: of each split.
        settings: of the run.
        tell: is told what is being done, and how long the rest takes.

    Returns:
        The rows of each of `texts` (many ways of sampling to train on, its own to measure with); those of documents to
        train on; and those of documents to report on, in each of the ways `READ`.
    """
    kinds = [_own_text(text, own, settings) for text, own in texts.items()]
    kinds += [_training_documents(documents, settings), _reported_documents(documents, settings)]
    seeds = [100 * settings.seed + number for number in range(1, len(kinds) + 1)]

    @cache  # for a run whose rows are there already needs neither
    def reader() -> GraphSteps:
        return GraphSteps(draft / "draft.onnx", read_manifest(draft.directory).context)

    @cache
    def forecast() -> Forecast:
        materials = (kind.material(np.random.default_rng(seed)) for kind, seed in zip(kinds, seeds, strict=True))
        return Forecast.of(reader(), pair.target.model, materials)

    found = []
    for number, (kind, seed) in enumerate(zip(kinds, seeds, strict=True)):

        def make(directory: Path, kind: _Kind = kind, seed: int = seed, number: int = number) -> None:
            with forecast().doing(number) as left:
                tell(f"  {kind.words}; about {left} until all rows are there")
                m = kind.material(np.random.default_rng(seed))
                rows = label(reader(), pair.target.model, m.documents, m.samplings, m.starts, seed=seed)
                rows.save(directory / "rows.npz")
                np.save(directory / "sources.npy", m.sources.astype(np.int32))

        key = pair.target_key | {"rows": kind.rows, "seed": seed, "code": _CODE}
        found.append(work.stage(f"rows-{kind.name}", key, make, [draft, kind.text]))
    return dict(zip(texts, found, strict=False)), found[-2], found[-1]


def _own_text(text: Text, own: Stage, settings: Settings) -> _Kind:
    wanted = round(settings.rows * (1 - _CORPUS_SHARE) * text.share)

    def material(random: np.random.Generator) -> Material:
        written = OwnText.load(own / "own.npz")
        texts, starts, sources = written.documents, np.maximum(written.openings, 1), written.sources
        if text.split == "train":
            order = random.permutation(len(texts))
            texts, starts, sources = [texts[i] for i in order], starts[order], sources[order]
            return _mixed(texts, starts, sources, text.sampling, wanted, random)
        draws = _CALIBRATION_DRAWS if text.split == "calibrate" and text.sampling.temperature else 1
        return Material(texts, starts, sources, [[text.sampling] * draws] * len(texts))

    return _Kind(text.name, text.words, wanted if text.split == "train" else "all", own, material)


def _training_documents(documents: Stage, settings: Settings) -> _Kind:
    wanted = round(settings.rows * _CORPUS_SHARE)

    def material(random: np.random.Generator) -> Material:
        found = read_split(documents, "train")
        return _mixed(found, np.ones(len(found), int), np.arange(len(found)), Sampling(), wanted, random)

    return _Kind("train-documents", "to train, documents as they stand", wanted, documents, material)


def _reported_documents(documents: Stage, settings: Settings) -> _Kind:
    most = max(1, round(_REPORT_DOCUMENTS * settings.part))

    def material(_: np.random.Generator) -> Material:
        found = read_split(documents, "report")[:most]
        return Material(found, np.ones(len(found), int), np.arange(len(found)), [list(READ)] * len(found))

    wanted = "all" if settings.part == 1 else f"{most} documents"
    return _Kind("report-documents", "to report, documents as they stand", wanted, documents, material)


def read_rows(stage: Stage, by_text: bool = False) -> Rows:
    """The rows of a stage, their documents numbered as in their split, or text by text.

    Two texts that begin as one document are no two witnesses, so whatever counts documents counts those of the split.
    """
    rows = Rows.load(stage / "rows.npz")
    return rows if by_text else replace(rows, document=_sources(stage)[rows.document])


def read_numbers(stage: Stage) -> np.ndarray:
    """The documents of `read_rows`, ``int32 [N]``, at little cost."""
    return _sources(stage)[Rows.load_one(stage / "rows.npz", "document")]


def _sources(stage: Stage) -> np.ndarray:
    with reading(stage / "sources.npy", "the documents of the verifier's rows") as file:
        found: np.ndarray = np.load(file)
    return found


def _mixed(
    texts: Sequence[np.ndarray],
    starts: np.ndarray,
    sources: np.ndarray,
    own: Sampling,
    wanted: int,
    random: np.random.Generator,
) -> Material:
    """As many of the texts as give `wanted` rows, sampled in turn in their own and in some other way."""
    tokens = np.array([max(len(text) - start, 0) for text, start in zip(texts, starts, strict=True)])
    draws = int(np.clip(-(-wanted // max(1, tokens.sum())), _FEWEST_DRAWS, _MOST_DRAWS))
    count = min(int(np.searchsorted(tokens.cumsum() * draws, wanted)) + 1, len(texts))
    samplings = [
        [MIXED[random.integers(len(MIXED))] if draw % 2 else own for draw in range(draws)] for _ in range(count)
    ]
    return Material(list(texts[:count]), starts[:count], sources[:count], samplings)
