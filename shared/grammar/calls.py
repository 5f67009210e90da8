"""The grammar of answers that call one of several functions, or may: rules in llguidance's dialect of Lark.

What a call is made of stands in `CallForm`. From the text alone it is certain which kind of answer it is: words do not
hold the tag, and where there is none they do not begin as a call does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.chat.calling import CallForm, Pieces
from shared.errors import InputError
from shared.grammar.source import laid_out


def calls(form: CallForm, functions: Mapping[str, dict[str, Any]]) -> str:
    """Rules for a call of one of these functions.

    Args:
        functions: the schemas of their parameters, by name. Each stands by itself, so that what it refers to is found
            in it.
    """
    return "\n".join(["start: call", *_call_rules(form, functions)])


def calls_or_words(form: CallForm, functions: Mapping[str, dict[str, Any]]) -> str:
    """The same, or any text; where the form has a tag, any text and then a call."""
    tokens = " | ".join(f"<[{token}]>" for token in form.others)
    more = "(token TEXT?)*" if tokens else ""
    start = f"start: TEXT? {more} call?" if form.tag else f"start: call | FIRST? {more}"
    rules = [start, *_call_rules(form, functions), f"ANY: {_ANY}"]
    if form.tag:
        rules.append(f"TEXT: {_SOME} & ~(ANY {json.dumps(form.tag)} ANY)")
    else:
        rules += [f"TEXT: {_SOME}", f"FIRST: {_SOME} & ~({json.dumps(form.opening)} ANY)"]
    return "\n".join([*rules, f"token: {tokens}"] if tokens else rules)


def calls_or_json(form: CallForm, functions: Mapping[str, dict[str, Any]], schema: str) -> str:
    """The same, or JSON that keeps to a schema, as `canonical_schema` writes it.

    Raises:
        InputError: the two could begin alike.
    """
    if form.is_like_json:
        raise InputError(
            "this model writes a call of a function as JSON, which could not be told from an answer in JSON: leave one "
            'of the two out, or give "required" or "none" as the choice of tools'
        )
    return "\n".join(["start: call | said", f"said: {_json(json.loads(schema))}", *_call_rules(form, functions)])


_ANY, _SOME = "/(?s:.*)/", "/(?s:.+)/"


def _call_rules(form: CallForm, functions: Mapping[str, dict[str, Any]]) -> list[str]:
    *tokens, opening = form.before
    rules = ["call: " + " | ".join(f"call_{number}" for number in range(len(functions)))]
    for number, (name, parameters) in enumerate(functions.items()):
        before = _written((*tokens, f"{opening}{name}{form.between}"))
        rules.append(f"call_{number}: {before} arguments_{number} {_written(form.behind)}")
        rules.append(f"arguments_{number}: {_json(parameters)}")
    return rules


def _json(schema: dict[str, Any]) -> str:
    return f"%json {json.dumps(laid_out(schema))}"


def _written(pieces: Pieces) -> str:
    return " ".join(f"<[{piece}]>" if isinstance(piece, int) else json.dumps(piece) for piece in pieces)
