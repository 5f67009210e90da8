"""A checkpoint's chat template, and what a conversation given to it may be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any, TypeAlias

from shared.chat.nested import check_depth
from shared.errors import InputError
from shared.fields import check_text, listed, shown

# Longest source that is compiled; the longest published templates have some 20,000 characters.
LONGEST_SOURCE = 1 << 18
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# What a function may be called.
FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

# One turn of a conversation: its role, its content, whatever else of text the template knows (a reasoning, a name), and
# in `tool_calls` the functions that it calls, as templates expect them: with arguments that are objects.
Message: TypeAlias = Mapping[str, Any]
# A function that may be called, as templates expect it: {"type": "function", "function": {"name": ..., ...}}.
Tool: TypeAlias = Mapping[str, Any]
CALLS = "tool_calls"


@dataclass(frozen=True)
class ChatTemplate:
    """How a checkpoint writes conversations.

    Attributes:
        source: the template, in Jinja.
        tokens: what the template knows by name, such as "bos_token": the strings of special tokens.
    """

    source: str
    tokens: dict[str, str | list[str]] = field(default_factory=dict)

    def check(self, name: str) -> None:
        """See that the parts are what they should be; `name` is what they are called in the file that holds them.

        Raises:
            ValueError: they are not.
        """
        check_text(f"{name}.source", self.source)
        if len(self.source) > LONGEST_SOURCE:
            raise ValueError(f"`{name}.source` must have at most {LONGEST_SOURCE} characters, not {len(self.source)}")
        if not isinstance(self.tokens, dict):
            raise ValueError(f"`{name}.tokens` must be an object, not {shown(self.tokens)}")
        for key, value in self.tokens.items():
            for one in [value] if isinstance(value, str) else listed(f"{name}.tokens.{key}", value):
                check_text(f"{name}.tokens.{key}", one)


def check_messages(messages: object) -> list[dict[str, Any]]:
    """The turns of a conversation, each with a role and its content.

    A role and the names of fields are words, so that none can spell a control token.

    Raises:
        InputError: they are something else.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise InputError(f"a chat is a list of turns, each with a role and its content, not {short(messages)}")
    if not messages:
        raise InputError("the chat has no turn in it; give at least one, with a role and its content")
    return [_checked(message) for message in messages]


def _checked(message: object) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise InputError(f"a chat is a list of turns, each with a role and its content, not {short(message)}")
    role = message.get("role")
    if not isinstance(role, str) or not _WORD.fullmatch(role):
        raise InputError(f"unknown chat role {short(role)}; a role is a word, such as user or assistant")
    if not isinstance(message.get("content"), str):
        raise InputError(f"the content of a chat's turn must be text, not {short(message.get('content'))}")
    for name, value in message.items():
        if name == CALLS:
            _check_calls(value)
            continue
        if not isinstance(name, str) or not _WORD.fullmatch(name) or not isinstance(value, str):
            raise InputError(
                f"a chat's turn has fields of text, each named by a word, not {short(name)}: {short(value)}"
            )
    return dict(message)


def _check_calls(calls: object) -> None:
    for call in calls if isinstance(calls, list) and calls else [None]:
        match call:
            case {"function": {"name": str(name), "arguments": dict()}} if FUNCTION_NAME.fullmatch(name):
                check_depth(f"a call of {name}", call)
            case _:
                raise InputError(
                    "the tool_calls of a chat's turn are a list of objects, each with a function in it that has a name "
                    "(letters, digits, - or _, 64 at most) and arguments, which are an object"
                )
