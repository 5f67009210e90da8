"""The documents of a run: those to learn from, and those that its table is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cloud_target.distil.settings import Settings
from cloud_target.training.corpus import UNSEEN, encode_shuffled, hold_out, read_corpus
from cloud_target.training.own_text import SHORTEST_OPENING
from shared.errors import InputError
from shared.identity import file_digest

# What little text must be there.
_LEAST, _LEAST_HELD = 8, 2
# Held-out documents, at most.
_HELD = 64


@dataclass(frozen=True)
class Documents:
    """Token ids, in an order that the seed fixes.

    Attributes:
        train: to learn from, whole.
        held: held out; none of them is among the others.
    """

    train: list[np.ndarray]
    held: list[np.ndarray]


def read(settings: Settings, tokenizer: Tokenizer) -> Documents:
    """Read and divide the corpus; a fifth of it is left out, the same that `prepare --unseen` takes.

    Where the target makes up conversations, there may be none.

    Raises:
        InputError: a file cannot be read, or there are too few documents.
    """
    if settings.chat and not settings.corpus:
        return Documents([], [])
    train, unseen = hold_out(encode_shuffled(tokenizer, read_corpus(settings.corpus))[0], UNSEEN)
    held = encode_shuffled(tokenizer, read_corpus(settings.dev))[0] if settings.dev else unseen
    train = [document for document in train if len(document) > SHORTEST_OPENING]
    known = {document.tobytes() for document in train}
    held = [document for document in held if len(document) > SHORTEST_OPENING and document.tobytes() not in known]
    what = "the held-out files hold" if settings.dev else "the fifth of the corpus that is held out holds"
    for found, least, words in ((train, _LEAST, "the corpus holds"), (held, _LEAST_HELD, what)):
        if len(found) < least:
            raise InputError(
                f"{words} {len(found)} documents of more than {SHORTEST_OPENING} tokens that are not elsewhere, and at "
                f"least {least} are needed (thousands, for a draft that is worth having); give more text, or separate "
                "documents by lines <|endoftext|>"
            )
    order = np.random.default_rng(settings.seed).permutation(len(train))
    return Documents([train[i] for i in order], held[:_HELD])


def identity(settings: Settings) -> dict[str, list[str]]:
    """The files by their bytes, for what determines a run.

    Raises:
        InputError: one cannot be read.
    """
    return {name: [_digest(path) for path in paths] for name, paths in _named(settings).items()}


def names(settings: Settings) -> dict[str, str]:
    """Name and digest of each file, for people."""
    return {path.name: _digest(path) for paths in _named(settings).values() for path in paths}


def _named(settings: Settings) -> dict[str, tuple[Path, ...]]:
    return {"CORPUS": settings.corpus, "--dev": settings.dev}


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise InputError(
            f"cannot read the corpus {path} ({error.strerror or error}); give a file of UTF-8 text"
        ) from error
