"""A call of a function, taken out of the text that the model writes for it, while it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from edge_client.server.structure import opening


@dataclass
class Call:
    """One call: a name, and arguments that grow.

    Args:
        names: of the functions that it may be a call of.

    Attributes:
        name: of the function; None until it is known.
        arguments: JSON, as far as it is known.
    """

    names: Sequence[str]
    name: str | None = None
    arguments: str = ""
    _text: str = ""
    _told: int | None = None
    _id: str = field(default_factory=lambda: f"call_{uuid4().hex[:24]}")

    def write(self, text: str, is_end: bool = False, is_whole: bool = False) -> None:
        """Take more of the text, and with `is_end` what was held back: behind a whole call it is the closing brace."""
        self._text += text
        if self.name is None:
            self.name = next((name for name in self.names if self._text.startswith(opening(name))), None)
        if self.name is not None:
            begun = self._text[len(opening(self.name)) :]
            self.arguments = begun if is_end and not is_whole else begun[:-1]

    def whole(self) -> list[dict[str, Any]]:
        """OpenAI's `tool_calls`; none of a text that ended before the name."""
        if self.name is None:
            return []
        return [{"id": self._id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}]

    def news(self) -> list[dict[str, Any]]:
        """The same of a chunk: what is new since it was asked for last."""
        if self.name is None:
            return []
        is_first, new = self._told is None, self.arguments[self._told or 0 :]
        self._told = len(self.arguments)
        if is_first:
            function = {"name": self.name, "arguments": new}
            return [{"index": 0, "id": self._id, "type": "function", "function": function}]
        return [{"index": 0, "function": {"arguments": new}}] if new else []
