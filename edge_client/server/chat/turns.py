"""The turns of a conversation, from OpenAI's form into that of chat templates."""

from __future__ import annotations

import json
from typing import Any

from shared import values
from shared.chat.template import CALLS, check_messages
from shared.errors import InputError


def read_turns(name: str, value: Any) -> list[dict[str, Any]]:
    """A conversation; contents given in parts are put together, and arguments of calls are read.

    Raises:
        InputError: it is none, or holds something other than text.
    """
    if not isinstance(value, list):
        raise InputError(f"{name} must be a list of turns, each with a role and its content")
    return named_results(check_messages([_turn(f"{name}[{i}]", turn) for i, turn in enumerate(value)]))


def joined(name: str, value: Any, kinds: tuple[str, ...] = ("text",)) -> Any:
    """A content as one text, if it is given in parts.

    Args:
        kinds: of parts that are text.

    Raises:
        InputError: a part is something else.
    """
    if not isinstance(value, list):
        return value
    return "".join(_text_of(f"{name}[{i}]", part, kinds) for i, part in enumerate(value))


def call_of(name: str, called: Any, arguments: Any, call_id: Any) -> dict[str, Any]:
    """A call as templates expect it.

    Args:
        name: of the place, for what is said about it.
        called: the function's name.
        arguments: JSON.

    Raises:
        InputError: something of it is not what it should be.
    """
    try:
        read = json.loads(values.string(f"{name}.arguments", arguments))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        read = None
    if not isinstance(read, dict):
        raise InputError(f"{name}.arguments must be a JSON object, as text")
    function = {"name": values.string(f"{name}.name", called), "arguments": read}
    return {"type": "function", "id": values.string(f"{name}.id", call_id), "function": function}


def named_results(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same turns, in which each result also says of which function it is: some templates tell that.

    Raises:
        InputError: a result is of no call before it.
    """
    names: dict[str, str] = {}
    found = []
    for turn in turns:
        names |= {call["id"]: call["function"]["name"] for call in turn.get(CALLS, ())}
        if turn["role"] == "tool":
            if (called := names.get(turn.get("tool_call_id", ""))) is None:
                raise InputError(
                    "a turn of the role tool has the tool_call_id of a call in a turn before it, and there is none "
                    f"with {turn.get('tool_call_id')!r}"
                )
            turn = {"name": called} | turn
        found.append(turn)
    return found


def _turn(name: str, turn: Any) -> dict[str, Any]:
    """One turn; fields that are null, or hold nothing, are as if they were not there."""
    if not isinstance(turn, dict):
        raise InputError(f"{name} must be an object with a role and its content")
    given = {key: part for key, part in turn.items() if part is not None and part != []}
    if given.get("role") == "developer":
        given["role"] = "system"
    if CALLS in given:
        given[CALLS] = _calls(f"{name}.{CALLS}", given[CALLS])
        given.setdefault("content", "")
    if "content" in given:
        given["content"] = joined(f"{name}.content", given["content"])
    return given


def _calls(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise InputError(f"{name} must be a list of calls")
    found = []
    for number, call in enumerate(value):
        place = f"{name}[{number}]"
        match call:
            case {"type": "function", "function": dict(function)}:
                arguments = function.get("arguments")
                found.append(call_of(f"{place}.function", function.get("name"), arguments, call.get("id")))
            case _:
                raise InputError(f"{place} must be an object of the type function, with a function in it")
    return found


def _text_of(name: str, part: Any, kinds: tuple[str, ...]) -> str:
    if isinstance(part, dict) and part.get("type") in kinds and isinstance(part.get("text"), str):
        text: str = part["text"]
        return text
    raise InputError(f"{name} is no text, and nothing else is read here")
