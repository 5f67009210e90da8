"""Two tokenizers of the same tokens are told apart by whatever they do otherwise with a text."""

from __future__ import annotations

import json

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from shared.identity import tokenizer_fingerprint
from shared.reading import difference, vocabulary_texts

WORDS = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "he", "the"]


def tokenizer(merges=(("t", "h"), ("h", "e"), ("th", "e"))) -> Tokenizer:
    made = Tokenizer(models.BPE({word: id for id, word in enumerate(WORDS)}, list(merges)))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def lower(made):
    made.normalizer = normalizers.Lowercase()


def composed(made):
    made.normalizer = normalizers.NFC()


def begun(made):
    made.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )


def spaced(made):
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def special(made):
    made.add_special_tokens(["<|endoftext|>"])


def striking(made):
    made.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip("a", 1, 0)])


@pytest.mark.parametrize("change", [lower, composed, begun, spaced, special])
def test_another_reading_of_texts_is_another_fingerprint(change):
    other = tokenizer()
    change(other)
    assert other.get_vocab() == tokenizer().get_vocab()
    assert difference(tokenizer(), other)
    assert tokenizer_fingerprint(other) != tokenizer_fingerprint(tokenizer())


def test_added_tokens_are_told_apart_by_their_flags():
    made = {}
    for flags in ({}, {"special": True}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}):
        one = tokenizer()
        one.add_tokens([AddedToken("<|endoftext|>", **flags)])
        made[tokenizer_fingerprint(one)] = one
    assert len(made) == 5


def test_merges_scores_and_decoders_count_too():
    striker = tokenizer()
    striking(striker)
    for other in (tokenizer((("h", "e"), ("t", "h"), ("th", "e"))), striker):
        assert difference(tokenizer(), other) is not None
        assert tokenizer_fingerprint(other) != tokenizer_fingerprint(tokenizer())
    scored = [Tokenizer(models.Unigram([("<unk>", 0.0), ("a", score)], unk_id=0)) for score in (-1.0, -1.5)]
    assert difference(*scored) == ""
    assert len({*map(tokenizer_fingerprint, scored)}) == 2


def test_what_a_reading_is_made_of_does_not_count():
    other = tokenizer()
    other.normalizer = normalizers.Sequence([])
    other.post_processor = processors.ByteLevel(trim_offsets=True)
    state = json.loads(other.to_str())
    state["model"]["merges"] = [" ".join(pair) for pair in state["model"]["merges"]]
    other = Tokenizer.from_str(json.dumps(state))
    assert difference(tokenizer(), other) is None
    assert tokenizer_fingerprint(other) == tokenizer_fingerprint(tokenizer())


def test_letters_change_case_as_they_always_did():
    """By the oldest Unicode of a Python that is supported, whatever this one has: a fingerprint hangs on it."""
    letters = ["a", "Z", "ä", "ß", "ω", "Ж", "\u019b", "\u0264", "\u1c8a"]  # the last three got capitals in Unicode 16
    made = Tokenizer(models.WordLevel({letter: id for id, letter in enumerate(letters)}, unk_token="a"))
    assert "A z Ä SS Ω ж \u019b \u0264 \u1c8a" in vocabulary_texts(made)
