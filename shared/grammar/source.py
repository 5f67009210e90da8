"""Grammars as they are asked for, and as they travel: llguidance's own form, made of a JSON schema or an expression."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.errors import InputError, first_line
from shared.grammar.library import llguidance

# Of the contract in proto/: the longest grammar, in bytes of UTF-8.
MOST_BYTES = 1 << 17
# Any JSON object.
OBJECT: dict[str, Any] = {"type": "object"}
# JSON as most programs write it. Between its parts then stands no more than that, so that most of these tokens can be
# no others, and a weak model does not go on with spaces for ever. A schema's own "x-guidance" goes before it.
_LAYOUT = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}


def canonical_schema(value: object) -> str:
    """A JSON schema as text that is the same for equal ones.

    Args:
        value: the schema, an object as Python has it, or its text.

    Raises:
        InputError: neither; whether it is a schema is seen where it is compiled.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the schema is not JSON ({first_line(error)})", options=("json_schema",)) from None
    if not isinstance(value, Mapping):
        raise InputError(
            f"a JSON schema is an object, as in {json.dumps(OBJECT)}, not {value!r}", options=("json_schema",)
        )
    try:
        # The order of properties is that of the text which keeps to them.
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        sentence = f"the schema holds something that is not JSON ({first_line(error)})"
        raise InputError(sentence, options=("json_schema",)) from None
    return text


def of_schema(schema: str) -> str:
    """The grammar of all JSON that keeps to a schema, which is given as `canonical_schema` writes it.

    Raises:
        InputError: it is too long to travel, or has options that are none.
    """
    return _bounded(json.dumps({"grammars": [{"json_schema": laid_out(json.loads(schema))}]}), "json_schema")


def laid_out(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that also says how its JSON is laid out.

    Raises:
        InputError: it says so itself, and what it says is no object.
    """
    own = schema.get("x-guidance", {})
    if not isinstance(own, dict):
        raise InputError("a schema's x-guidance is an object of llguidance's options", options=("json_schema",))
    return schema | {"x-guidance": _LAYOUT | own}


def of_lark(rules: str) -> str:
    """The grammar that rules in llguidance's dialect of Lark make.

    Raises:
        InputError: it is too long to travel.
    """
    return _bounded(json.dumps({"grammars": [{"lark_grammar": rules}]}), "lark")


def of_regex(expression: str) -> str:
    """The grammar of all texts that a regular expression (of Rust's regex crate) matches as a whole.

    Raises:
        InputError: llguidance is not installed, or the grammar is too long; whether it is an expression is seen where
            it is compiled.
    """
    return _bounded(llguidance().LLMatcher.grammar_from_regex(expression), "regex")


def _bounded(grammar: str, option: str) -> str:
    if len(grammar.encode()) > MOST_BYTES:
        raise InputError(
            f"what the text must keep to makes a grammar of {len(grammar.encode())} bytes, and at most {MOST_BYTES} "
            "travel; give a smaller one",
            options=(option,),
        )
    return grammar
