"""What the answer to a request must keep to: `response_format`, and a function that must be called."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from edge_client.server.errors import ApiError, unsupported
from edge_client.server.fields import Fields
from edge_client.settings import Options
from shared import values
from shared.errors import InputError
from shared.grammar.source import OBJECT, canonical_schema, laid_out

MOST_TOOLS = 128
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FORMATS = "text, json_object or json_schema"


@dataclass(frozen=True)
class Structure:
    """What is asked of the form of an answer.

    Attributes:
        options: of the text, which see to it.
        param: the field that asks for it; None where none does.
        calls: functions of which the answer calls one, by name; none where it is a text.
    """

    options: Options
    param: str | None = None
    calls: tuple[str, ...] = ()


def read_structure(fields: Fields) -> Structure:
    """Take `response_format`, `tools` and `tool_choice` from a request.

    Raises:
        ApiError: what they ask for is not done here, or cannot be understood.
    """
    shape = fields.take("response_format", _format)
    tools = fields.take("tools", _tools) or {}
    names = fields.take("tool_choice", lambda name, value: _chosen(name, value, tools))
    if names is None:
        if not tools:
            return Structure({}) if shape is None else Structure({"json_schema": shape}, "response_format")
        names = _chosen("tool_choice", "auto", tools)
    if not names:
        return Structure({}) if shape is None else Structure({"json_schema": shape}, "response_format")
    if shape is not None:
        raise ApiError(
            400,
            "an answer that calls a function has the form of its parameters: leave `response_format` out, or give "
            '"none" as `tool_choice`',
            param="response_format",
        )
    return Structure({"lark": _call_of({name: tools[name] for name in names})}, "tools", tuple(names))


def opening(name: str) -> str:
    """What stands before the arguments in the text of a call; behind them is one `}`."""
    return f'{{"name": "{name}", "arguments": '


def _call_of(tools: dict[str, dict[str, Any]]) -> str:
    """The grammar of a call of one of these functions, with the schemas of their parameters.

    Each schema stands by itself, so that what it refers to is found in it.
    """
    rules = ["start: " + " | ".join(f"call_{number}" for number in range(len(tools)))]
    for number, (name, parameters) in enumerate(tools.items()):
        rules.append(f'call_{number}: {json.dumps(opening(name))} arguments_{number} "}}"')
        rules.append(f"arguments_{number}: %json {json.dumps(laid_out(parameters))}")
    return "\n".join(rules)


def _format(name: str, value: Any) -> str | None:
    """The schema of an answer; None where it is a text."""
    match value:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return canonical_schema(OBJECT)
        case {"type": "json_schema", "json_schema": dict(named)}:
            # `strict` or not, it is kept to; name and description are for people.
            if (schema := named.get("schema")) is None:
                raise InputError(f"{name}.json_schema.schema is missing: give the schema that the answer keeps to")
            if not isinstance(schema, dict):
                raise InputError(f"{name}.json_schema.schema must be an object")
            return canonical_schema(schema)
    raise InputError(f"{name} must be an object whose type is {_FORMATS}, the last with a json_schema")


def _tools(name: str, value: Any) -> dict[str, dict[str, Any]]:
    """The schemas of the functions' parameters, by name."""
    if not isinstance(value, list) or len(value) > MOST_TOOLS:
        raise InputError(f"{name} must be a list of at most {MOST_TOOLS} functions")
    found: dict[str, dict[str, Any]] = {}
    for number, tool in enumerate(value):
        place = f"{name}[{number}]"
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict):
            raise InputError(f"{place} must be an object of the type function, with a function in it")
        called = values.string(f"{place}.function.name", function.get("name"))
        if not _NAME.fullmatch(called):
            raise InputError(f"{place}.function.name must be 1 to 64 letters, digits, - or _, not {called[:80]!r}")
        if called in found:
            raise InputError(f"{place}.function.name is that of another function too; give each another name")
        parameters = function.get("parameters")
        parameters = (
            {"type": "object", "properties": {}, "additionalProperties": False} if parameters is None else parameters
        )
        if not isinstance(parameters, dict):
            raise InputError(f"{place}.function.parameters must be a JSON schema, which is an object")
        found[called] = json.loads(canonical_schema(parameters))
    return found


def _chosen(name: str, value: Any, tools: dict[str, dict[str, Any]]) -> list[str]:
    """The functions of which one must be called; none where none is."""
    match value:
        case "none":
            return []
        case "auto" if tools:
            raise unsupported(
                name,
                'whether to call a function is not left to the model here: give "required" or a function\'s name as '
                f'`{name}`, or "none"',
            )
        case "auto":
            return []
        case "required" if tools:
            return list(tools)
        case {"type": "function", "function": {"name": str(called)}} if called in tools:
            return [called]
    known = ", ".join(tools) or "there are none"
    raise InputError(f'{name} must be "none", "required", or an object that names one of the tools ({known})')
