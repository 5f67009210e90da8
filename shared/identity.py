"""Fingerprints: what a bundle was made for, and what a target serves, as short hex digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

from shared.reading import reading

_LENGTH = 32


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """Digest of how a tokenizer reads and writes (`shared.reading`); padding of the vocabulary does not count."""
    return _digest(line.encode() for line in reading(tokenizer))


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_fingerprint(config: str, tensors: Iterable[tuple[str, bytes]]) -> str:
    """Digest of a model's configuration and of its tensors, given in order of name."""
    parts = (part for name, data in tensors for part in (name.encode(), data))
    return _digest([config.encode(), *parts])


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:_LENGTH]
