"""Openings of documents."""

from __future__ import annotations

import pytest

from benchmarks.documents import DEEPER, OPENING, after, openings
from benchmarks.prose import unseen_prose
from shared.errors import InputError
from shared.tokenizer import encode_prompt
from tests.edge_client.scripted_device import tokenizer

LONG = "The little robot went to the big park and saw a girl. " * 30
SHORT = "She was happy, and she sat in the park."


def test_openings_are_openings():
    documents = [LONG, SHORT, "", "a"]
    prompts = openings(tokenizer(), documents, 2)
    assert [len(prompt) for prompt in prompts] == [OPENING, len(encode_prompt(tokenizer(), SHORT)) // 2]
    assert len(openings(tokenizer(), documents, 1, 60)[0]) == 60
    for prompt, document in zip(prompts, documents, strict=False):
        ids = encode_prompt(tokenizer(), document)
        assert prompt == ids[: len(prompt)]


def test_too_few_documents_go_round_again_and_deeper():
    prompts = openings(tokenizer(), [LONG, SHORT], 5)
    assert [len(prompt) for prompt in prompts[::2]] == [OPENING, OPENING + DEEPER, OPENING + 2 * DEEPER]
    assert prompts[1] == prompts[3]  # no more than half of a short document


def test_documents_without_an_opening():
    with pytest.raises(InputError, match="too short"):
        openings(tokenizer(), ["", "a"], 3)


@pytest.mark.parametrize(("start", "kept"), [(0, "abcd"), (0.5, "cd"), (0.6, "cd"), (0.99, "d")])
def test_the_fraction_to_skip(start, kept):
    assert "".join(after("abcd", start)) == kept


@pytest.mark.parametrize("start", [-0.1, 1, 7, float("nan")])
def test_fractions_that_are_none(start):
    with pytest.raises(InputError, match="--from"):
        after("abcd", start)


def test_unseen_prose_is_prose():
    texts = unseen_prose()
    assert set(texts) == {"license", "docstrings"}
    for paragraphs in texts.values():
        assert len(set(paragraphs)) >= 12
        assert all("\n" not in paragraph and len(paragraph.split()) > 20 for paragraph in paragraphs)
