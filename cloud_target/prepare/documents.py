"""The documents: read, encoded, and split into those that train, those that calibrate, and those that are reported on.

The three never share a document, so a threshold is checked on text that neither the verifier nor it has met. Repeated
documents are dropped for that; they are told by their text, before it takes one of its forms or is cut.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cloud_target.prepare.pair import Pair
from cloud_target.prepare.settings import Settings
from cloud_target.training import conversations, corpus, own_text
from cloud_target.training.conversations import write_conversations
from cloud_target.training.corpus import UNSEEN, encode_shuffled, hold_out, read_corpus, reading
from cloud_target.training.own_text import OWN_SAMPLINGS, SHORTEST_OPENING
from cloud_target.training.work import Stage, Work, code
from shared.errors import InputError
from shared.identity import file_digest

SPLITS = ("train", "calibrate", "report")
SHARES = (0.5, 0.4, 0.1)  # of a corpus without held-out files; a promise is as sure as its documents are many
LEAST_CORPUS = 20  # documents without held-out files
LEAST_DEV = 8  # documents in those
_LEAST_TRAIN = 4
# Labelling reads a document whole, and the start of a long one says as much as its end.
_LONGEST = 1024
# Of conversations: tokens of an answer, and a seed that training has not.
RUN_LENGTH, _SEED = 128, 1 << 41


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
            raise InputError(
                f"cannot read the corpus {path} ({error.strerror or error}); give a file of UTF-8 text"
            ) from error


def split_documents(work: Work, pair: Pair, settings: Settings, tell: Callable[[str], None]) -> Stage:
    """Token ids of the documents of each of `SPLITS`, a file each; see `read_split`.

    Args:
        work: where they are kept.
        pair: whose tokenizer encodes them.
        settings: of the run.
        tell: is told how many documents were dropped, if any were.

    Raises:
        InputError: a file cannot be read, or there are too few documents.
    """

    if settings.chat:
        return _made_up(work, pair, settings)

    def make(directory: Path) -> None:
        corpus_texts, dev_texts = read_corpus(settings.corpus), read_corpus(settings.dev)
        found, dropped = _encode_corpus(pair, corpus_texts, settings)
        kept = _first_met(dev_texts, corpus_texts)
        dev = _long_enough(encode_shuffled(pair.tokenizer, [dev_texts[i] for i in kept], settings.seed)[0])
        repeated = {"the corpus": dropped, "the held-out files": len(dev_texts) - len(kept)}
        if any(repeated.values()):
            words = ", ".join(f"{count} of {what}" for what, count in repeated.items() if count)
            tell(f"  repeated documents dropped: {words}")
        if settings.dev:
            _check_count(len(found), _LEAST_TRAIN, "the corpus", "--corpus")
            _check_count(len(dev), LEAST_DEV, "the held-out files", "--dev")
            parts: list[Sequence[np.ndarray]] = [found, dev[: len(dev) // 2], dev[len(dev) // 2 :]]
        else:
            _check_count(len(found), LEAST_CORPUS, "the corpus", "--corpus")
            parts = _shares(found)
        _save_splits(directory, parts)

    files = {"corpus": settings.corpus, "dev": settings.dev}
    key: dict[str, Any] = {name: [file_digest(path) for path in paths] for name, paths in files.items()}
    key |= {"tokenizer": pair.draft_key["tokenizer"], "seed": settings.seed, "unseen": settings.unseen}
    key |= {"code": code(sys.modules[__name__], corpus)}
    return work.stage("documents", key, make)


def read_split(stage: Stage, name: str) -> list[np.ndarray]:
    """The documents of a split, in a random order that the seed fixes."""
    with reading(stage / f"{name}.npz", "the documents") as file, np.load(file) as arrays:
        return np.split(arrays["ids"], arrays["lengths"].cumsum()[:-1])


def _encode_corpus(pair: Pair, texts: Sequence[str], settings: Settings) -> tuple[list[np.ndarray], int]:
    """Token ids of the documents that may be used, and how many others were dropped because they are repeated."""
    if not settings.unseen:
        kept = _first_met(texts)
        documents, _ = encode_shuffled(pair.tokenizer, [texts[i] for i in kept], settings.seed)
        return _long_enough(documents), len(texts) - len(kept)
    # Divided with the repeated ones in it, as `cloud-target train` does, or it would be another fifth.
    documents, order = encode_shuffled(pair.tokenizer, texts)
    texts = [texts[i] for i in order]
    seen, unseen = hold_out(documents, UNSEEN)
    kept = _first_met(texts[len(seen) :], texts[: len(seen)])
    drawn = np.random.default_rng(settings.seed).permutation(len(kept))
    return _long_enough([unseen[kept[i]] for i in drawn]), len(unseen) - len(kept)


def _first_met(texts: Iterable[str], known: Iterable[str] = ()) -> list[int]:
    """Indices of the texts that occur neither in `known` nor earlier."""
    met, kept = set(known), []
    for index, text in enumerate(texts):
        if text not in met:
            met.add(text)
            kept.append(index)
    return kept


def _long_enough(documents: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [document[:_LONGEST] for document in documents if len(document) > SHORTEST_OPENING]


def _check_count(count: int, least: int, what: str, option: str) -> None:
    if count < least:
        raise InputError(
            f"{what} holds {count} different documents of more than {SHORTEST_OPENING} tokens, and at least {least} "
            f"are needed to split them (hundreds, for thresholds that are worth having); give more files to {option}, "
            "or separate documents by lines <|endoftext|>"
        )


def _made_up(work: Work, pair: Pair, settings: Settings) -> Stage:
    """Conversations of the target's own, of which none repeats another's question."""

    def make(directory: Path) -> None:
        target = pair.target
        found = write_conversations(
            target.model, pair.frame, OWN_SAMPLINGS, RUN_LENGTH, settings.own_tokens, target.end_ids, _LONGEST,
            min(max(settings.own_tokens // (4 * RUN_LENGTH), 8), 128), _SEED + settings.seed,
        )  # fmt: skip
        asked = {text[:opening].tobytes(): text for text, opening in zip(found.documents, found.openings, strict=True)}
        if len(asked) < LEAST_CORPUS:
            raise InputError(
                f"the target made up {len(asked)} different conversations, and at least {LEAST_CORPUS} are needed to "
                "split them (hundreds, for thresholds that are worth having); give more --own-tokens"
            )
        _save_splits(directory, _shares(list(asked.values())))

    key = pair.target_key | {"conversations": settings.own_tokens, "seed": settings.seed}
    key |= {"code": code(sys.modules[__name__], conversations, own_text)}
    return work.stage("documents", key, make, say="conversations that the target makes up")


def _shares(documents: Sequence[np.ndarray]) -> list[Sequence[np.ndarray]]:
    first, second = (round(len(documents) * share) for share in (SHARES[0], SHARES[0] + SHARES[1]))
    return [documents[:first], documents[first:second], documents[second:]]


def _save_splits(directory: Path, parts: Sequence[Sequence[np.ndarray]]) -> None:
    for name, documents in zip(SPLITS, parts, strict=True):
        lengths = np.array([len(document) for document in documents], np.int64)
        np.savez(directory / f"{name}.npz", ids=np.concatenate(documents), lengths=lengths)
