"""A conversation on its way into a template: what anybody says in it, and the same in other characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.chat.nested import texts, with_texts

_WORD = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Conversation:
    """Turns, and the functions that may be called in the next one.

    Attributes:
        turns: as `shared.chat.template.check_messages` gives them.
        tools: as templates expect them.
    """

    turns: list[dict[str, Any]]
    tools: list[dict[str, Any]]

    def said(self) -> list[str]:
        """All that is said, and by which names; all but the roles."""
        spoken = [value for turn in self.turns for name, value in turn.items() if name != "role"]
        return [*texts(spoken), *texts(self.tools)]

    def roles(self) -> set[str]:
        """Who speaks."""
        return {turn["role"] for turn in self.turns}

    def with_roles(self, other: Mapping[str, str]) -> Conversation:
        """The same, said by others."""
        return replace(self, turns=[turn | {"role": other.get(turn["role"], turn["role"])} for turn in self.turns])

    def with_said(self, change: Callable[[str], str], is_harmless: Callable[[str], bool]) -> Conversation:
        """The same with everything changed that is said.

        In functions and calls, where templates look for fields and compare with words, a word stays if it is harmless.
        """

        def inside(text: str) -> str:
            return text if _WORD.fullmatch(text) and is_harmless(text) else change(text)

        def changed(name: str, value: Any) -> Any:
            if name == "role":
                return value
            return change(value) if isinstance(value, str) else with_texts(value, inside)

        turns = [{name: changed(name, value) for name, value in turn.items()} for turn in self.turns]
        return Conversation(turns, with_texts(self.tools, inside))
