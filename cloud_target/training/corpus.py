"""Reading text corpora: documents in, one packed array of token ids out.

A corpus file holds documents separated by a line ``<|endoftext|>``; ``.xz`` files are unpacked as they are read.
A dialogue (lines that begin ``User:`` or ``Assistant:``) is also rendered with the chat tokens, so that one
model serves both plain prompts and chat.
"""

from __future__ import annotations

import lzma
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from tokenizers import Tokenizer

from cloud_target.engine.files import vocabulary_size
from shared.chat.pocket import POCKET_TURNS, SPECIAL_TOKENS
from shared.chat.rendering import render
from shared.errors import InputError

SEPARATOR = "<|endoftext|>"
UNSEEN = 0.2  # share of a corpus that neither model is trained on, so that a verifier can learn from it
Document = TypeVar("Document")
_TURN = re.compile(r"^(User|Assistant): (.*)$")


def read_documents(path: str | Path) -> list[str]:
    """The documents of one corpus file, stripped, in order.

    Raises:
        InputError: the file is missing, unreadable or holds no document.
    """
    path = Path(path)
    opener = lzma.open if path.suffix == ".xz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the corpus {path} ({error}); give a file of UTF-8 text, plain or .xz") from error
    documents = [doc.strip() for doc in text.split(f"{SEPARATOR}\n")]
    documents = [doc.removesuffix(SEPARATOR).strip() for doc in documents]
    documents = [doc for doc in documents if doc]
    if not documents:
        raise InputError(f"the corpus {path} holds no document; separate documents by a line {SEPARATOR}")
    return documents


def write_documents(path: str | Path, documents: Iterable[str]) -> None:
    """Write a corpus file, from which `read_documents` gives the same documents."""
    with open(path, "w", encoding="utf-8") as file:
        for document in documents:
            file.write(f"{document}\n{SEPARATOR}\n")


def read_corpus(paths: Sequence[str | Path]) -> list[str]:
    """The documents of all `paths`, in order.

    Raises:
        InputError: as `read_documents`.
    """
    return [document for path in paths for document in read_documents(path)]


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[BinaryIO]:
    """A file of arrays, for people `what`, open for whatever reads it.

    Raises:
        InputError: the file is missing, cut short, or something else.
    """
    try:
        with open(path, "rb") as file:  # numpy would leave one that is damaged open
            yield file
    except OSError as error:
        raise InputError(
            f"cannot read {what} from {path} ({error.strerror or error}); run again what makes it"
        ) from error
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"cannot read {what} from {path}, which is damaged ({error}); remove it and run again what makes it"
        ) from error


def as_chat(document: str) -> str | None:
    """The same dialogue with chat tokens, or None if the document is not a dialogue."""
    turns: list[dict[str, str]] = []
    for line in document.splitlines():
        match = _TURN.match(line)
        if match is None:
            return None
        turns.append({"role": match[1].lower(), "content": match[2]})
    return render(POCKET_TURNS, turns, goes_on=False)


def id_type(vocabulary: int) -> type[np.unsignedinteger]:
    """The smallest of uint16 and uint32 that holds every id of a vocabulary."""
    return np.uint16 if vocabulary <= 1 << 16 else np.uint32


def has_chat(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer has the tokens of the chat form, so that a dialogue can be rendered with them."""
    return all(tokenizer.token_to_id(token) is not None for token in SPECIAL_TOKENS)


def encode_documents(tokenizer: Tokenizer, documents: Sequence[str]) -> list[np.ndarray]:
    """Token ids of each document (`id_type`), beginning as a prompt does: with end-of-text, or whatever the tokenizer
    puts first."""
    kind = id_type(vocabulary_size(tokenizer))
    encodings = tokenizer.encode_batch(list(documents), add_special_tokens=True)
    return [np.asarray(encoding.ids, dtype=kind) for encoding in encodings]


def encode_corpus(tokenizer: Tokenizer, paths: Sequence[str | Path], seed: int = 0) -> list[np.ndarray]:
    """All documents of `paths`, as `encode_shuffled` gives them."""
    return encode_shuffled(tokenizer, read_corpus(paths), seed)[0]


def encode_shuffled(tokenizer: Tokenizer, texts: Sequence[str], seed: int = 0) -> tuple[list[np.ndarray], list[int]]:
    """Token ids of `texts` in an order drawn from `seed`, and that order: the index of the text that each was.

    Where the tokenizer has the tokens of a chat, each dialogue comes in one of its two forms, drawn by coin.
    """
    heads = (np.random.default_rng((seed, 1)).random(len(texts)) < 0.5) & has_chat(tokenizer)
    texts = [(as_chat(doc) or doc) if coin else doc for doc, coin in zip(texts, heads, strict=True)]
    documents = encode_documents(tokenizer, texts)
    order = shuffled(len(documents), seed)
    return [documents[i] for i in order], order


def shuffled(count: int, seed: int = 0) -> list[int]:
    """The order in which a corpus of `count` documents is read."""
    return np.random.default_rng(seed).permutation(count).tolist()


def hold_out(documents: Sequence[Document], share: float) -> tuple[list[Document], list[Document]]:
    """Documents for the models, and the last `share` of them (0 to 1), which no model sees, for the verifier."""
    cut = len(documents) - round(share * len(documents))
    return list(documents[:cut]), list(documents[cut:])


def padded_batches(
    documents: Sequence[np.ndarray], batch_tokens: int, context: int
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Documents of like length together, about `batch_tokens` ids a batch.

    Yields:
        The documents' indices, and their ids, cut to `context` and padded with 0 at the end, ``int64 [b, n]``.
    """
    group: list[int] = []
    for index in sorted(range(len(documents)), key=lambda i: len(documents[i])):
        if group and (len(group) + 1) * min(len(documents[index]), context) > batch_tokens:
            yield group, _padded([documents[i][:context] for i in group])
            group = []
        group.append(index)
    if group:
        yield group, _padded([documents[i][:context] for i in group])


def _padded(documents: Sequence[np.ndarray]) -> np.ndarray:
    ids = np.zeros((len(documents), max(map(len, documents))), np.int64)
    for row, document in zip(ids, documents, strict=True):
        row[: len(document)] = document
    return ids


def pack(documents: Iterable[np.ndarray], seed: int) -> np.ndarray:
    """All documents in one array, in an order drawn from `seed`."""
    documents = list(documents)
    order = np.random.default_rng(seed).permutation(len(documents))
    return np.concatenate([documents[i] for i in order])


class PackedCorpus:
    """An endless stream of batches over packed documents.

    Each epoch shuffles the documents anew and shows each dialogue in one of its two forms, drawn by coin. The share
    `UNSEEN` of the documents is left out, the same that `hold_out` keeps from a draft.
    """

    def __init__(self, tokenizer: Tokenizer, paths: Sequence[str | Path], seed: int = 0) -> None:
        texts = read_corpus(paths)
        plain = [texts[i] for i in hold_out(shuffled(len(texts)), UNSEEN)[0]]
        chats = has_chat(tokenizer)
        chat = [as_chat(doc) if chats else None for doc in plain]
        self._plain = encode_documents(tokenizer, plain)
        rendered = iter(encode_documents(tokenizer, [doc for doc in chat if doc is not None]))
        self._chat = [next(rendered) if doc is not None else None for doc in chat]
        self._seed = seed
        self.tokens_per_epoch = int(sum(map(len, self._plain)))

    def epoch(self, number: int) -> np.ndarray:
        """The packed token ids of one epoch."""
        coin = np.random.default_rng((self._seed, number)).random(len(self._plain)) < 0.5
        forms = [
            chat if chat is not None and heads else plain
            for plain, chat, heads in zip(self._plain, self._chat, coin, strict=True)
        ]
        return pack(forms, seed=self._seed + number)

    def batches(self, batch_tokens: int, window: int, start_epoch: int = 0) -> Iterator[np.ndarray]:
        """Arrays ``[batch_tokens // window, window + 1]`` (int64) for ever; rows overlap by one token."""
        rows = max(1, batch_tokens // window)
        number = start_epoch
        while True:
            ids = self.epoch(number)
            starts = np.arange(0, len(ids) - window - 1, window)
            np.random.default_rng((self._seed, number, 1)).shuffle(starts)
            for first in range(0, len(starts) - rows + 1, rows):
                yield np.stack([ids[s : s + window + 1] for s in starts[first : first + rows]]).astype(np.int64)
            number += 1
