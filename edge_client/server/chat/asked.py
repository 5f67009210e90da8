"""A request to `/v1/chat/completions`."""

from __future__ import annotations

from typing import Any

from edge_client.server.asked import Asked, positive, take_choices, take_common
from edge_client.server.chat.turns import read_turns
from edge_client.server.errors import NO_ALTERNATIVES, ApiError
from edge_client.server.fields import Fields
from edge_client.server.prompts import of_turns
from edge_client.server.structure import Structure, read_format
from edge_client.server.tools import read_tools

_OLD = "this old field is not read here: give `tools` and `tool_choice`"


def read_chat(body: dict[str, Any]) -> Asked:
    """What it asks for.

    Raises:
        ApiError: it asks for what is not done here, or cannot be understood.
    """
    fields = Fields(body)
    turns = fields.take("messages", read_turns)
    if turns is None:
        raise ApiError(
            400, "`messages` is missing: give the turns so far, each with a role and its content", param="messages"
        )
    max_tokens = fields.take("max_completion_tokens", positive) or fields.take("max_tokens", positive)
    fields.drop("max_tokens")
    logprobs = fields.flag("logprobs")
    fields.refuse("top_logprobs", (0,), NO_ALTERNATIVES.format("leave `top_logprobs` out, or give 0"))
    schema, tools = fields.take("response_format", read_format), read_tools(fields, is_flat=False)
    fields.refuse("functions", ([],), _OLD)
    fields.refuse("function_call", ("none", "auto"), _OLD)
    fields.refuse("modalities", (["text"],), "only text is written here: leave `modalities` out")
    fields.drop("parallel_tool_calls", "reasoning_effort", "verbosity")
    asked = take_common(fields) | take_choices(fields)
    fields.end()
    # An answer takes as long as it takes, if nobody says anything.
    asked["options"]["max_tokens"] = max_tokens
    structure = Structure.of(schema, tools, "response_format")
    return Asked(prompts=[of_turns(turns, tools)], logprobs=logprobs, structure=structure, **asked)
