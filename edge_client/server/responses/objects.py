"""The objects that a response is made of."""

from __future__ import annotations

import json
from typing import Any

from edge_client.server.said import Said
from edge_client.stream import Completion
from shared.chat.template import CALLS
from shared.stopping import FinishReason

_INCOMPLETE = {FinishReason.LENGTH: "max_output_tokens"}
# Why a response is over, and still as it should be.
_WHOLE = (FinishReason.END, FinishReason.STOP)


def text_part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    """What a message holds."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def message(id: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """What the model says."""
    return {"type": "message", "id": id, "status": status, "role": "assistant", "content": content}


def function_call(id: str, said: Said, arguments: str, status: str) -> dict[str, Any]:
    """What it calls.

    Args:
        arguments: as far as they have been told.
    """
    return {
        "type": "function_call",
        "id": id,
        "call_id": said.call_id,
        "name": said.name,
        "arguments": arguments,
        "status": status,
    }


def ending(completion: Completion) -> dict[str, Any]:
    """The status of a response whose text has ended, and why it is not complete where it is not."""
    reason = completion.finish_reason
    if reason in _WHOLE:
        return {"status": "completed", "incomplete_details": None}
    return {"status": "incomplete", "incomplete_details": {"reason": _INCOMPLETE.get(reason, str(reason))}}


def usage(counts: tuple[int, int, int], reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Tokens as this path of OpenAI's counts them, and what went on."""
    read, cached, written = counts
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
        "tandem": reports,
    }


def turn_of(said: Said) -> dict[str, Any]:
    """The answer as a turn that a conversation goes on from; a call that was cut is left out."""
    turn: dict[str, Any] = {"role": "assistant", "content": said.words}
    arguments = json.loads(said.arguments) if said.is_whole else None
    if isinstance(arguments, dict):
        function = {"name": said.name, "arguments": arguments}
        turn[CALLS] = [{"type": "function", "id": said.call_id, "function": function}]
    return turn
