"""The chat template of the pocket models, once as Jinja (for tools) and once as Python (for the edge)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from shared.errors import InputError

END_OF_TEXT = "<|endoftext|>"
END_OF_TURN = "<|end|>"
ROLES = ("system", "user", "assistant")
SPECIAL_TOKENS = (END_OF_TEXT, END_OF_TURN, *(f"<|{role}|>" for role in ROLES))

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class Message(TypedDict):
    """One turn of a chat."""

    role: str
    content: str


def render_chat(messages: Sequence[Mapping[str, object]], add_generation_prompt: bool = True) -> str:
    """The chat as one prompt, the same text that `CHAT_TEMPLATE` gives.

    Args:
        messages: each a `Message`, or any mapping with its keys.

    Raises:
        InputError: no text, or a role that the template does not know.
    """
    parts = []
    for message in messages:
        if not isinstance(message, Mapping):
            raise InputError(f"a chat is a list of turns, each with a role and its content, not {message!r}")
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise InputError(f"unknown chat role {role!r}; use one of {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise InputError(f"the content of a chat's turn must be text, not {content!r}")
        parts.append(f"<|{role}|>{content}{END_OF_TURN}")
    if add_generation_prompt:
        parts.append("<|assistant|>")
    return "".join(parts)
