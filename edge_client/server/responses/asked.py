"""A request to `/v1/responses`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_client.server.asked import Asked, positive, take_common
from edge_client.server.chat.turns import named_results
from edge_client.server.errors import NO_ALTERNATIVES, ApiError, unsupported
from edge_client.server.fields import Fields
from edge_client.server.prompts import of_turns
from edge_client.server.responses.items import read_input
from edge_client.server.responses.kept import KeptResponses
from edge_client.server.structure import Structure, read_format
from edge_client.server.tools import read_tools
from shared import values
from shared.errors import InputError

_LOGPROBS = "message.output_text.logprobs"
# What may be asked to be told beside a text, and is nothing here, for there is none of it.
_NOTHING = "reasoning.encrypted_content"


@dataclass(frozen=True, kw_only=True)
class AskedResponse(Asked):
    """A request.

    Attributes:
        turns: of the conversation so far, those of the responses before it included.
        is_kept: the answer may be gone on with by its id.
        echo: what the answer says of the request.
    """

    turns: list[dict[str, Any]]
    is_kept: bool
    echo: dict[str, Any]


def read_response(body: dict[str, Any], kept: KeptResponses) -> AskedResponse:
    """What it asks for.

    Args:
        kept: responses that it may go on from.

    Raises:
        ApiError: it asks for what is not done here, or cannot be understood.
    """
    fields = Fields(body)
    new = fields.take("input", read_input)
    if new is None:
        raise ApiError(400, "`input` is missing: give a text, or the turns of a conversation", param="input")
    instructions = fields.take("instructions", values.string)
    before = fields.take("previous_response_id", values.string)
    turns = _in_one([*_turns_of(before, kept), *new])
    max_tokens = fields.take("max_output_tokens", positive)
    text = fields.inside("text")
    schema = text.take("format", lambda name, value: read_format(name, value, is_flat=True))
    text.drop("verbosity")
    text.end()
    tools = read_tools(fields, is_flat=True)
    logprobs = _LOGPROBS in (fields.take("include", _include) or ())
    store = fields.take("store", values.switch)
    _refuse_others(fields)
    asked = take_common(fields)
    fields.end()
    # An answer takes as long as it takes, if nobody says anything.
    asked["options"]["max_tokens"] = max_tokens
    return AskedResponse(
        prompts=[of_turns(_led_by(instructions, turns), tools)],
        logprobs=logprobs,
        structure=Structure.of(schema, tools, "text.format"),
        turns=turns,
        is_kept=store is not False,
        echo={
            "instructions": instructions,
            "max_output_tokens": max_tokens,
            "metadata": body.get("metadata") or {},
            "parallel_tool_calls": False,
            "previous_response_id": before,
            "store": store is not False,
            "temperature": body.get("temperature"),
            "text": {"format": (body.get("text") or {}).get("format") or {"type": "text"}},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p"),
            "truncation": "disabled",
        },
        **asked,
    )


def _refuse_others(fields: Fields) -> None:
    """Fields that mean what is not done here; those that say nothing about the text are passed over."""
    fields.refuse("top_logprobs", (0,), NO_ALTERNATIVES.format("leave `top_logprobs` out, or give 0"))
    fields.refuse("n", (1,), "a response is one answer: leave `n` out, or ask /v1/chat/completions")
    fields.refuse("background", (False,), "an answer is written while you wait, or streamed: leave `background` out")
    fields.refuse("conversation", (), "conversations have no names here: give `previous_response_id`, or all turns")
    fields.refuse("prompt", (), "no prompts are filed here: give `instructions` and `input`")
    fields.refuse("truncation", ("disabled",), "no turn is left out unasked: leave `truncation` out, and give fewer")
    stream_options = fields.inside("stream_options")
    stream_options.drop("include_obfuscation")
    stream_options.end()
    fields.drop("parallel_tool_calls", "max_tool_calls", "reasoning", "prompt_cache_retention")


def _turns_of(previous: str | None, kept: KeptResponses) -> list[dict[str, Any]]:
    if previous is None:
        return []
    if (found := kept.find(previous)) is None:
        raise ApiError(
            400,
            f"there is no response {previous[:80]!r} here (any more): the last ones are kept, as long as this server "
            "runs and unless `store` was false; give all turns as `input`",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return found.turns


def _in_one(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A conversation put together, as one that can be answered."""
    try:
        return named_results(turns)
    except InputError as error:
        raise ApiError(400, str(error), param="input") from None


def _led_by(instructions: str | None, turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns under instructions; templates take one system turn, so a second one is part of it."""
    if not instructions:
        return turns
    first, *rest = turns
    if first["role"] == "system":
        return [first | {"content": f"{instructions}\n\n{first['content']}"}, *rest]
    return [{"role": "system", "content": instructions}, *turns]


def _include(name: str, value: Any) -> tuple[str, ...]:
    found = values.strings(name, value)
    for one in found:
        if one not in (_LOGPROBS, _NOTHING):
            raise unsupported(name, f"`{name}` asks for {one[:80]!r}, which there is not here: leave it out")
    return found
