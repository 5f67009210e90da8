"""The last responses, which a request may go on from: in memory, as long as the server runs."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

MOST = 256
MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class Kept:
    """One response.

    Attributes:
        turns: of the conversation, its answer the last.
        response: as it was told.
        size: of all that as JSON, bytes.
    """

    turns: list[dict[str, Any]]
    response: dict[str, Any]
    size: int


class KeptResponses:
    """Keeps as many as fit; for one thread.

    Args:
        most: how many.
        most_bytes: of all together, as JSON.
    """

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._size = 0

    def keep(self, turns: list[dict[str, Any]], response: dict[str, Any]) -> None:
        """Keep a response by its id; those that were not asked for the longest make room."""
        size = len(json.dumps([turns, response]))
        self._kept[response["id"]] = Kept(turns, response, size)
        self._size += size
        while self._size > self._most_bytes or len(self._kept) > self._most:
            self._size -= self._kept.popitem(last=False)[1].size

    def find(self, id: str) -> Kept | None:
        """One of them; None where it is not kept (any more)."""
        if id not in self._kept:
            return None
        self._kept.move_to_end(id)
        return self._kept[id]

    def forget(self, id: str) -> None:
        """Keep it no longer."""
        if (found := self._kept.pop(id, None)) is not None:
            self._size -= found.size
