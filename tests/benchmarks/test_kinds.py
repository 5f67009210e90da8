"""Kinds of text that need no download: enough of each, the same every time, and each unlike the others."""

from __future__ import annotations

import json

from benchmarks.documents import openings
from benchmarks.kinds import unseen_kinds
from edge_client.bundles.pocket import POCKET
from shared.tokenizer import load_tokenizer


def test_every_kind_is_there_and_the_same_again():
    kinds = unseen_kinds()
    assert list(kinds) == ["code", "license", "docstrings", "japanese", "numbers", "json"]
    assert kinds == unseen_kinds()
    assert kinds["json"] != unseen_kinds(1)["json"]
    tokenizer = load_tokenizer(POCKET / "tokenizer.json")
    for documents in kinds.values():
        assert all(len(prompt) >= 8 for prompt in openings(tokenizer, documents, 20))


def test_kinds_are_what_they_are_called():
    kinds = unseen_kinds()
    assert all(len(json.loads(text)) == 2 for text in kinds["json"])
    assert all(number.isdigit() for text in kinds["numbers"] for number in text.split())
    assert not any(character.isascii() for text in kinds["japanese"] for character in text)
    assert sum("def " in text or "self" in text or "=" in text for text in kinds["code"]) > 0.8 * len(kinds["code"])
