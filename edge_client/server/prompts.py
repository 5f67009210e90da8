"""Conversations as prompts, for whoever writes."""

from __future__ import annotations

from functools import partial
from typing import Any

from edge_client.bundles.bundle import Bundle
from edge_client.server.asked import Prompt
from edge_client.server.tools import Tools


def of_turns(turns: list[dict[str, Any]], tools: Tools | None) -> Prompt:
    """The prompt of a conversation; what may be called in it, the model is told."""
    return partial(Bundle.encode_chat, messages=turns, tools=[] if tools is None else tools.told)
