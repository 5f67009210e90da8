"""Compiling: once for each grammar, bounded, and in a sentence where it cannot be."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models

from edge_client.testing.tokenizer import byte_tokenizer
from shared.errors import InputError
from shared.grammar import engine as module
from shared.grammar.engine import GrammarEngine
from shared.grammar.source import canonical_schema, of_regex, of_schema


@pytest.fixture(scope="module")
def engine() -> GrammarEngine:
    return GrammarEngine(byte_tokenizer(), byte_tokenizer().get_vocab_size())


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (of_schema('{"type":"objct"}'), "Invalid type: objct"),
        (of_schema('{"not":{"type":"string"}}'), "Unimplemented keys"),
        (of_schema('{"enum":[]}'), "Unsatisfiable schema"),
        (of_schema('{"$ref":"http://127.0.0.1/other.json"}'), "does not fetch"),
        (of_regex("(a"), "unclosed group"),
        ("what is this", "grammar"),
        ("{}", "grammar"),
    ],
)
def test_what_is_no_grammar_is_refused_in_one_line(engine, source, why):
    with pytest.raises(InputError, match=why) as refusal:
        engine.compile(source)
    assert "\n" not in str(refusal.value)


def test_a_grammar_is_compiled_once(engine):
    source = of_schema(canonical_schema({"const": 1}))
    assert engine.compile(source) is engine.compile(source)


def test_the_ones_that_were_not_used_for_longest_are_forgotten(engine):
    first = of_regex("first")
    kept = engine.compile(first)
    for number in range(module.MOST_KEPT - 1):
        engine.compile(of_regex(f"other {number}"))
    assert engine.compile(first) is kept
    for number in range(module.MOST_KEPT):
        engine.compile(of_regex(f"another {number}"))
    assert engine.compile(first) is not kept


def test_a_tenants_grammars_are_its_own_and_no_other_pushes_them_out(engine):
    first = of_regex("first")
    kept = engine.compile(first, "lone")
    assert engine.compile(first, "crowd") is not kept
    for number in range(2 * module.MOST_KEPT):
        engine.compile(of_regex(f"other {number}"), "crowd")
    assert engine.compile(first, "lone") is kept


@pytest.mark.parametrize(
    ("limit", "most", "why"),
    [("_MOST_SYMBOLS", 10, "no text can be kept to this"), ("_MOST_STATES", 10, "cannot be followed any further")],
)
def test_a_grammar_that_would_take_much_memory_is_refused(engine, monkeypatch, limit, most, why):
    """Whether it is seen when it is compiled, or only in the middle of a text."""
    monkeypatch.setattr(module, limit, most)
    source = of_schema(canonical_schema({"type": "object", "properties": {limit: {}}}))
    text = byte_tokenizer().encode('{"' + limit + '": {"a": [1.5, true, "b"]}}').ids

    def follow() -> None:
        cursor = engine.compile(source).cursor([0])
        for length in range(len(text)):
            cursor.allowed(text[:length])

    with pytest.raises(InputError, match=why) as refusal:
        follow()
    assert "\n" not in str(refusal.value)


def test_a_tokenizer_without_bytes_is_refused_in_a_sentence():
    words = GrammarEngine(Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")), 2)
    with pytest.raises(InputError, match="cannot be kept to a grammar"):
        words.compile(of_regex("a"))
