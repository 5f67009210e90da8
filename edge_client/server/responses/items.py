"""The input of a response as turns of a conversation: messages, calls of functions, and what came of them."""

from __future__ import annotations

from typing import Any

from edge_client.server.chat.turns import call_of, joined
from edge_client.server.errors import ApiError
from edge_client.server.fields import Fields
from shared import values
from shared.chat.template import CALLS, check_messages
from shared.errors import InputError

_TEXTS = ("input_text", "output_text", "text")


def read_input(name: str, value: Any) -> list[dict[str, Any]]:
    """Turns in the form of chat templates; a text is one of the user's.

    Raises:
        InputError: it is neither a text nor items, or holds something other than text.
        ApiError: an item is not read here.
    """
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise InputError(f"{name} must be a text, or a list of items, such as messages with a role and content")
    turns: list[dict[str, Any]] = []
    for number, item in enumerate(value):
        turn = _turn(f"{name}[{number}]", item)
        # What the model says and calls in one answer comes as several items, and is one turn.
        if CALLS in turn and turns and turns[-1]["role"] == "assistant":
            turns[-1] = turns[-1] | {CALLS: [*turns[-1].get(CALLS, ()), *turn[CALLS]]}
        else:
            turns.append(turn)
    return check_messages(turns)


def _turn(name: str, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise InputError(f"{name} must be an object")
    fields = Fields(item, f"{name}.")
    kind = fields.take("type", values.string) or "message"
    fields.drop("id", "status", "phase")
    match kind:
        case "message":
            turn = _message(name, fields)
        case "function_call":
            called, arguments = fields.take("name", values.string), fields.take("arguments", values.string)
            turn = {
                "role": "assistant",
                "content": "",
                CALLS: [call_of(name, called, arguments, fields.take("call_id", values.string))],
            }
        case "function_call_output":
            output = fields.take("output", lambda place, value: values.string(place, joined(place, value, _TEXTS)))
            turn = {"role": "tool", "content": output, "tool_call_id": fields.take("call_id", values.string) or ""}
        case _:
            raise ApiError(
                400,
                f"{name} is of the type {kind[:80]!r}, and message, function_call and function_call_output are what "
                "is read here: leave it out",
                param=f"{name}.type",
                code="unsupported_parameter",
            )
    fields.end()
    return turn


def _message(name: str, fields: Fields) -> dict[str, Any]:
    role = fields.take("role", values.string)
    content = fields.take("content", lambda place, value: values.string(place, joined(place, value, _TEXTS)))
    if content is None:
        raise InputError(f"{name}.content is missing: give a text")
    return {"role": "system" if role == "developer" else role, "content": content}
