"""Functions that a request offers, and whether the answer calls one of them: `tools` and `tool_choice`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_client.server.fields import Fields
from shared import values
from shared.chat.nested import check_depth
from shared.chat.template import FUNCTION_NAME
from shared.errors import InputError
from shared.grammar.source import canonical_schema

MOST_TOOLS = 128


@dataclass(frozen=True)
class Tools:
    """What may be called.

    Attributes:
        functions: all that the model is told of, by name: name, description and parameters of each.
        names: of those that the answer may call; at least one.
        must: the answer calls one, whatever the model thinks.
    """

    functions: dict[str, dict[str, Any]]
    names: tuple[str, ...]
    must: bool

    @property
    def told(self) -> list[dict[str, Any]]:
        """The functions as templates expect them."""
        return [{"type": "function", "function": function} for function in self.functions.values()]

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The schemas of those that may be called."""
        return {name: self.functions[name]["parameters"] for name in self.names}


def read_tools(fields: Fields, is_flat: bool) -> Tools | None:
    """Take `tools` and `tool_choice` from a request; None where nothing may be called.

    Args:
        is_flat: what is said of a function stands in the tool itself, and not in its field `function`.

    Raises:
        ApiError: they cannot be understood.
    """
    functions = fields.take("tools", lambda name, value: _functions(name, value, is_flat)) or {}
    choice = fields.take("tool_choice", lambda name, value: _choice(name, value, functions, is_flat))
    if choice is None:
        choice = (*functions,), False
    names, must = choice
    return Tools(functions, names, must) if names else None


def _functions(name: str, value: Any, is_flat: bool) -> dict[str, dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MOST_TOOLS:
        raise InputError(f"{name} must be a list of at most {MOST_TOOLS} functions")
    found: dict[str, dict[str, Any]] = {}
    for number, tool in enumerate(value):
        place = f"{name}[{number}]"
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind != "function":
            raise InputError(f"{place} must be an object of the type function, and nothing else is called here")
        if not is_flat:
            tool, place = tool.get("function"), f"{place}.function"
        if not isinstance(tool, dict):
            raise InputError(f"{place} must be an object with the function's name")
        function = _function(place, tool)
        if function["name"] in found:
            raise InputError(f"{place}.name is that of another function too; give each another name")
        found[function["name"]] = function
    return found


def _function(place: str, given: dict[str, Any]) -> dict[str, Any]:
    """Name, description and parameters; others of its fields are for who calls it."""
    name = values.string(f"{place}.name", given.get("name"))
    if not FUNCTION_NAME.fullmatch(name):
        raise InputError(f"{place}.name must be 1 to 64 letters, digits, - or _, not {name[:80]!r}")
    description = given.get("description")
    description = "" if description is None else values.string(f"{place}.description", description)
    parameters = given.get("parameters")
    if parameters is None:
        parameters = {"type": "object", "properties": {}, "additionalProperties": False}
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise InputError(f"{place}.parameters must be a JSON schema of the type object")
    canonical_schema(parameters)
    check_depth(f"{place}.parameters", parameters)
    return {"name": name, "description": description, "parameters": parameters}


def _choice(name: str, value: Any, functions: dict[str, Any], is_flat: bool) -> tuple[tuple[str, ...], bool]:
    """The functions that may be called, and whether one must be."""
    called = value if is_flat else value.get("function") if isinstance(value, dict) else None
    match value, called:
        case "none", _:
            return (), False
        case "auto", _:
            return (*functions,), False
        case "required", _ if functions:
            return (*functions,), True
        case {"type": "function"}, {"name": str(one)} if one in functions:
            return (one,), True
    known = ", ".join(functions) or "there are none"
    raise InputError(f'{name} must be "none", "auto", "required", or an object that names one of the tools ({known})')
