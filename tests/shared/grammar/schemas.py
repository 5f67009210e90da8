"""Random JSON schemas, and what tells whether a text keeps to one: another library's opinion."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

Schema = dict[str, Any]

_names = st.sampled_from(["name", "age", "a b", "ключ", 'q"', "x" * 12])
_leaves = st.one_of(
    st.builds(lambda most: {"type": "string", "maxLength": most}, st.integers(0, 5)),
    st.builds(
        lambda a, b: {"type": "integer", "minimum": min(a, b), "maximum": max(a, b)}, *[st.integers(-99, 999)] * 2
    ),
    st.builds(
        lambda some: {"enum": some}, st.lists(st.sampled_from(["red", "green", 7, None, 1.5]), min_size=1, max_size=3)
    ),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": "fixed: [1]"}]),
    st.just({"type": "string", "pattern": "^[a-f]{2,4}$"}),
)


def _object(properties: dict[str, Schema], some: bool) -> Schema:
    required = list(properties)[: 1 if some else None]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _with_parts(parts: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        st.builds(_object, st.dictionaries(_names, parts, max_size=3), st.booleans()),
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, parts, st.integers(0, 3)),
        st.builds(lambda one, other: {"anyOf": [one, other]}, parts, parts),
    )


# Of texts that end: whatever writes them, each has an end within some hundred tokens.
schemas = st.recursive(_leaves, _with_parts, max_leaves=4)


def keeps_to(text: str, schema: Schema) -> bool:
    """Whether a text is JSON, and what the schema says."""
    return Draft202012Validator(schema).is_valid(json.loads(text))
