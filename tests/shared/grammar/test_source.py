"""Grammars as they travel: the same for equal schemas, bounded, and what is no schema is refused in a sentence."""

from __future__ import annotations

import json

import pytest

from shared.errors import InputError
from shared.grammar.source import MOST_BYTES, OBJECT, canonical_schema, of_regex, of_schema


def test_a_schema_is_the_same_as_an_object_and_as_its_text():
    assert canonical_schema(OBJECT) == canonical_schema(' {"type":  "object"} ') == '{"type":"object"}'


def test_the_order_of_properties_is_kept():
    text = canonical_schema({"properties": {"b": {}, "a": {}}})
    assert text.index('"b"') < text.index('"a"') < of_schema(text).index("x-guidance")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "is an object"),
        ("true", "is an object"),
        (7, "is an object"),
        ({"minimum": float("nan")}, "not JSON"),
        ({"const": {1, 2}}, "not JSON"),
        ({"const": "\ud800"}, "not JSON"),
    ],
)
def test_what_is_no_schema_is_refused(given, why):
    with pytest.raises(InputError, match=why) as refusal:
        canonical_schema(given)
    assert refusal.value.options == ("json_schema",)


def test_a_schema_says_for_itself_how_its_json_is_laid_out():
    layout = json.loads(of_schema('{"x-guidance":{"whitespace_flexible":true}}'))["grammars"][0]["json_schema"]
    assert layout["x-guidance"]["whitespace_flexible"] is True
    assert layout["x-guidance"]["key_separator"] == ": "
    with pytest.raises(InputError, match="x-guidance is an object"):
        of_schema('{"x-guidance":7}')


def test_what_is_too_long_to_travel_is_refused():
    with pytest.raises(InputError, match=f"at most {MOST_BYTES} travel"):
        of_schema(canonical_schema({"const": "x" * MOST_BYTES}))
    with pytest.raises(InputError, match="makes a grammar of"):
        of_regex("x" * MOST_BYTES)
