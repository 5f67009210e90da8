"""Random JSON schemas, and what tells whether a text keeps to one: another library's opinion."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

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


def _between(kinds: tuple[str, str], bounds: tuple[float, float]) -> Schema:
    """Numbers between two bounds that differ, each of which may be excluded."""
    return {"type": "number", f"{kinds[0]}inimum": min(bounds), f"{kinds[1]}aximum": max(bounds)}


_quarters = st.integers(-4000, 4000).map(lambda number: number / 4)
_values = st.recursive(
    st.sampled_from(["", "red", 'say "no"', "\n\t", "ключ", "🌳", -7, 0.125, True, None]),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(_names, parts, max_size=2),
    max_leaves=4,
)
# Formats that another library can judge.
FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")
_wide_leaves = st.one_of(
    _leaves,
    st.builds(
        _between,
        st.tuples(st.sampled_from(["m", "exclusiveM"]), st.sampled_from(["m", "exclusiveM"])),
        st.tuples(_quarters, _quarters).filter(lambda bounds: bounds[0] != bounds[1]),
    ),
    st.builds(
        lambda low, step: {
            "type": "integer",
            "exclusiveMinimum": low,
            "exclusiveMaximum": low + 5 * step,
            "multipleOf": step,
        },
        st.integers(-300, 300),
        st.integers(2, 30),
    ),
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 30),
        st.integers(0, 10),
    ),
    st.sampled_from(FORMATS).map(lambda name: {"type": "string", "format": name}),
    _values.map(lambda value: {"const": value}),
    st.lists(_values, min_size=1, max_size=5).map(lambda values: {"enum": values}),
    st.sampled_from(["one", "list"]).map(lambda name: {"$ref": f"#/$defs/{name}"}),
    st.just({"type": ["integer", "null"], "minimum": 0, "maximum": 9}),
)
_LIST: Schema = {
    "type": "object",
    "properties": {"value": {"$ref": "#/$defs/one"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/list"}]}},
    "required": ["value", "next"],
    "additionalProperties": False,
}


def _with_wide_parts(parts: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def _open(properties: dict[str, Schema], others: Schema | bool) -> Schema:
        found = {"type": "object", "properties": properties, "required": list(properties)}
        return found if others is True else found | {"additionalProperties": others}

    def _array(items: Schema, least: int, more: int) -> Schema:
        return {"type": "array", "items": items, "minItems": least, "maxItems": least + more}

    return st.one_of(
        _with_parts(parts),
        st.builds(_open, st.dictionaries(_names, parts, max_size=2), parts | st.booleans()),
        st.builds(_array, parts, st.integers(0, 6), st.integers(0, 6)),
    )


# Of all kinds; nothing says when their texts end.
wide_schemas = st.builds(
    lambda one, schema: {"$defs": {"one": one, "list": _LIST}, **schema},
    _leaves,
    st.recursive(_wide_leaves, _with_wide_parts, max_leaves=4),
)


def keeps_to(text: str, schema: Schema) -> bool:
    """Whether a text is JSON, and what the schema says; numbers are what is written, not what a float makes of it."""
    value = json.loads(text, parse_float=Decimal)
    return Draft202012Validator(schema, format_checker=FormatChecker(FORMATS)).is_valid(value)
