"""The documents: read, encoded, and split into those that train, those that calibrate, and those that are reported on.

The three never share a document, so a threshold is checked on text that neither the verifier nor it has met.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings
from cloud_target.prepare.work import Stage, Work, code
from cloud_target.training import corpus
from cloud_target.training.corpus import UNSEEN, encode_corpus, hold_out
from cloud_target.training.own_text import SHORTEST_OPENING
from shared.errors import InputError
from shared.identity import file_digest

SPLITS = ("train", "calibrate", "report")
SHARES = (0.7, 0.2, 0.1)  # of a corpus without held-out files
LEAST_CORPUS, LEAST_DEV = 20, 8
_LEAST_TRAIN = 4
# Labelling reads a document whole, and the start of a long one says as much as its end.
_LONGEST = 1024


def check_readable(paths: Sequence[Path]) -> None:
    """See that the files are there before hours are spent.

    Raises:
        InputError: one is not.
    """
    for path in paths:
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise InputError(f"cannot read the corpus {path}: {error.strerror or error}") from error


def split_documents(work: Work, pair: Pair, settings: Settings) -> Stage:
    """Token ids of the documents of each of `SPLITS`, a file each; see `read_split`.

    Raises:
        InputError: a file cannot be read, or there are too few documents.
    """

    def make(directory: Path) -> None:
        found = _encode(pair, settings.corpus, settings)
        if settings.dev:
            _check_count(len(found), _LEAST_TRAIN, "the corpus", "--corpus")
            dev = _encode(pair, settings.dev, settings)
            _check_count(len(dev), LEAST_DEV, "the held-out files", "--dev")
            parts = [found, dev[: len(dev) // 2], dev[len(dev) // 2 :]]
        else:
            _check_count(len(found), LEAST_CORPUS, "the corpus", "--corpus")
            first, second = (round(len(found) * share) for share in (SHARES[0], SHARES[0] + SHARES[1]))
            parts = [found[:first], found[first:second], found[second:]]
        for name, documents in zip(SPLITS, parts, strict=True):
            _save(directory / f"{name}.npz", documents)

    files = {"corpus": settings.corpus, "dev": settings.dev}
    key = {name: [file_digest(path) for path in paths] for name, paths in files.items()}
    key |= {"tokenizer": pair.draft_key["tokenizer"], "seed": settings.seed, "unseen": settings.unseen}
    key |= {"code": code(sys.modules[__name__], corpus)}
    return work.stage("documents", key, make)


def read_split(stage: Stage, name: str) -> list[np.ndarray]:
    """The documents of a split, in a random order that the seed fixes."""
    with np.load(stage / f"{name}.npz") as file:
        return np.split(file["ids"], file["lengths"].cumsum()[:-1])


def _encode(pair: Pair, paths: Sequence[Path], settings: Settings) -> list[np.ndarray]:
    if settings.unseen and paths is settings.corpus:
        documents = hold_out(encode_corpus(pair.tokenizer, paths), UNSEEN)[1]
        documents = [documents[i] for i in np.random.default_rng(settings.seed).permutation(len(documents))]
    else:
        documents = encode_corpus(pair.tokenizer, paths, settings.seed)
    return [document[:_LONGEST] for document in documents if len(document) > SHORTEST_OPENING]


def _check_count(count: int, least: int, what: str, option: str) -> None:
    if count < least:
        raise InputError(
            f"{what} holds {count} documents of more than {SHORTEST_OPENING} tokens, and at least {least} are needed "
            f"to split them (hundreds, for thresholds that are worth having); give more files to {option}, or "
            "separate documents by lines <|endoftext|>"
        )


def _save(path: Path, documents: Sequence[np.ndarray]) -> None:
    np.savez(path, ids=np.concatenate(documents), lengths=np.array([len(d) for d in documents], np.int64))
