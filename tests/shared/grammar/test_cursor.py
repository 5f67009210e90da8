"""What may follow a text is a function of its token ids alone, and leads to texts that keep to their schema."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edge_client.bundles.pocket import POCKET
from edge_client.testing.tokenizer import END_IDS, byte_tokenizer
from shared.errors import InputError
from shared.grammar.cursor import Cursor
from shared.grammar.engine import GrammarEngine
from shared.grammar.source import canonical_schema, of_regex, of_schema
from shared.tokenizer import StreamDecoder, load_tokenizer
from tests.shared.grammar.pieces import pieces
from tests.shared.grammar.schemas import Schema, keeps_to, schemas

TOKENIZERS = {"pocket": load_tokenizer(POCKET / "tokenizer.json"), "bytes": byte_tokenizer(), "pieces": pieces()}
ENGINES = {name: GrammarEngine(one, one.get_vocab_size()) for name, one in TOKENIZERS.items()}
LONGEST = 200
FREE: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def cursor_of(schema: Schema, name: str = "bytes") -> Cursor:
    return ENGINES[name].compile(of_schema(canonical_schema(schema))).cursor(END_IDS)


def walk(cursor: Cursor, chance: random.Random, most: int = LONGEST) -> tuple[list[int], list[np.ndarray]]:
    """A random text to its end, and what might have come at each of its places."""
    text: list[int] = []
    masks: list[np.ndarray] = []
    while len(text) < most and (allowed := cursor.allowed(text)) is not None:
        masks.append(allowed.bits)
        text.append(chance.choice(allowed.ids().tolist()))
    return text, masks


def written(tokenizer: Tokenizer, text: list[int]) -> str:
    decoder = StreamDecoder(tokenizer, tokenizer.encode("Once upon").ids)
    return "".join(map(decoder.push, text)) + decoder.flush()


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(schema=schemas, chance=st.randoms(use_true_random=False))
def test_a_text_of_allowed_tokens_keeps_to_its_schema(name, schema, chance):
    text, _ = walk(cursor_of(schema, name), chance)
    assert text[-1] in END_IDS
    assert keeps_to(written(TOKENIZERS[name], text), schema)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=40, deadline=None)
@given(schema=st.one_of(schemas, st.just(FREE)), chance=st.randoms(use_true_random=False))
def test_what_is_allowed_hangs_on_the_text_alone(name, schema, chance):
    """Whatever was asked before, of texts that part from this one, that are longer, or that the grammar forbids."""
    text, masks = walk(cursor_of(schema, name), chance, most=40)
    other, vocabulary = cursor_of(schema, name), TOKENIZERS[name].get_vocab_size()
    for _ in range(20):
        kept = chance.randrange(len(text) + 1)
        other.allowed([*text[:kept], *(chance.randrange(vocabulary) for _ in range(chance.randrange(4)))])
        place = chance.randrange(len(masks))
        for cursor in (other, cursor_of(schema, name)):
            allowed = cursor.allowed(text[:place])
            assert allowed is not None
            assert np.array_equal(allowed.bits, masks[place])


def test_an_end_is_allowed_where_the_grammar_is_complete_and_nowhere_else():
    cursor = ENGINES["bytes"].compile(of_regex("ab+")).cursor(END_IDS)
    a, b = byte_tokenizer().encode("ab").ids
    seen = [cursor.allowed(text) for text in ([], [a], [a, b])]
    assert [allowed.ids().tolist() for allowed in seen if allowed] == [[a], [b], [*END_IDS, b]]


def test_where_only_the_end_may_follow_it_is_certain_which():
    cursor = ENGINES["bytes"].compile(of_regex("a")).cursor([1, 0])
    allowed = cursor.allowed(byte_tokenizer().encode("a").ids)
    assert allowed is not None
    assert allowed.ids().tolist() == [0]
    assert allowed.count == 1


def test_behind_the_end_and_behind_what_is_forbidden_nothing_is():
    cursor = ENGINES["bytes"].compile(of_regex("ab")).cursor(END_IDS)
    a, b = byte_tokenizer().encode("ab").ids
    for text in ([a, b, 0], [a, b, 0, a], [b], [a, a, b], [2], [0]):
        assert cursor.allowed(text) is None, text
    assert cursor.allowed([a]) is not None


def test_a_token_of_text_may_be_the_end():
    """Some models end a text with a line break: inside it is not allowed then, behind it is."""
    newline, a = byte_tokenizer().encode("\na").ids
    cursor = ENGINES["bytes"].compile(of_regex("(a|\n)+")).cursor([newline])
    assert [one.ids().tolist() for one in map(cursor.allowed, ([], [a])) if one] == [[a], [newline, a]]
    assert cursor.allowed([a, newline]) is None


def test_which_ids_are_allowed_is_told_of_many_at_once():
    allowed = cursor_of({"type": "boolean"}).allowed([])
    assert allowed is not None
    every = np.arange(byte_tokenizer().get_vocab_size())
    assert np.array_equal(np.flatnonzero(allowed.has(every)), allowed.ids())
    assert allowed.count == len(allowed.ids()) == 2


def test_without_a_token_to_go_on_with_there_is_a_sentence():
    cursor = ENGINES["bytes"].compile(of_regex("a")).cursor([])
    with pytest.raises(InputError, match="allows no token of this model"):
        cursor.allowed(byte_tokenizer().encode("a").ids)
