"""Fingerprints: what a bundle was made for, and what a target serves, as short hex digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

_LENGTH = 32


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """Digest of the mapping from token to id, special tokens included; padding of the vocabulary does not count."""
    vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    return _digest([json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")).encode()])


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
