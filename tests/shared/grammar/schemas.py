"""Random JSON schemas, and what tells whether a text keeps to one: another library's opinion."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
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


def _number(least: float, more: float, lower: str, upper: str) -> Schema:
    return {"type": "number", lower: least, upper: least + more}


def _multiple(low: int, step: int) -> Schema:
    bounds = {"exclusiveMinimum": low, "exclusiveMaximum": low + 5 * step}
    return {"type": "integer", "multipleOf": step, **bounds}


def _open(properties: dict[str, Schema], others: Schema | bool) -> Schema:
    found = {"type": "object", "properties": properties, "required": list(properties)}
    return found if others is True else found | {"additionalProperties": others}


_quarters = st.integers(1, 4000).map(lambda number: number / 4)
_values = st.recursive(
    st.sampled_from(["", "red", 'say "no"', "\n\t", "ключ", "🌳", -7, 0.125, True, None]),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(_names, parts, max_size=2),
    max_leaves=4,
)
_LIST: Schema = {
    "type": "object",
    "properties": {"value": {"$ref": "#/$defs/one"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/list"}]}},
    "required": ["value", "next"],
    "additionalProperties": False,
}
# Formats that another library can judge.
FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")
_lower, _upper = (st.sampled_from([f"m{name}", f"exclusiveM{name}"]) for name in ("inimum", "aximum"))
_wide: dict[str, st.SearchStrategy[Schema]] = {
    "number": st.builds(_number, _quarters.map(lambda number: number - 500), _quarters, _lower, _upper),
    "multiple": st.builds(_multiple, st.integers(-300, 300), st.integers(2, 30)),
    "string": st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(1, 30),
        st.integers(0, 10),
    ),
    "format": st.sampled_from(FORMATS).map(lambda name: {"type": "string", "format": name}),
    "const": _values.map(lambda value: {"const": value}),
    "enum": st.lists(_values, min_size=1, max_size=5).map(lambda values: {"enum": values}),
    "reference": st.sampled_from(["one", "list"]).map(lambda name: {"$ref": f"#/$defs/{name}"}),
    "types": st.just({"type": ["integer", "null"], "minimum": 0, "maximum": 9}),
    "open": st.builds(_open, st.dictionaries(_names, _leaves, max_size=2), _leaves | st.booleans()),
    "array": st.builds(
        lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
        _leaves,
        st.integers(1, 6),
        st.integers(0, 6),
    ),
}


def _alone_or_within(parts: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    within = st.builds(lambda one, other: _object({"one": one, "other": other}, False), parts, parts | _leaves)
    choice = st.builds(lambda one: {"anyOf": [{"type": "null"}, one]}, parts)
    several = st.builds(lambda one: {"type": "array", "items": one, "minItems": 1, "maxItems": 2}, parts)
    schemas = st.one_of(parts, within, choice, several)
    return st.builds(lambda one, schema: {"$defs": {"one": one, "list": _LIST}, **schema}, _leaves, schemas)


# By the kind that is within; nothing says when their texts end.
wide_schemas = {kind: _alone_or_within(parts) for kind, parts in _wide.items()}


def keeps_to(text: str, schema: Schema) -> bool:
    """Whether a text is JSON, and what the schema says; numbers are what is written, not what a float makes of it."""
    value = json.loads(text, parse_float=_exact)
    return Draft202012Validator(schema, format_checker=FormatChecker(FORMATS)).is_valid(value)


def _exact(text: str) -> Decimal | float:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of dozens of digits, which JSON allows
        return float(text)
