"""What was typed in earlier chats, one JSON string a line, in the user's state directory and for nobody else."""

from __future__ import annotations

import json
import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from edge_client.state import alone, replace_text

NAME = "chat-history"
# The newest are kept.
LONGEST = 1000


class History:
    """Turns in a file.

    Args:
        path: of the file; made with the first turn.
        longest: how many turns are kept.
    """

    def __init__(self, path: Path, longest: int = LONGEST) -> None:
        self._path = path
        self._longest = longest

    def read(self) -> list[str]:
        """The turns, the newest last; lines that are none are left out.

        Raises:
            OSError: it cannot be read.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        turns: deque[str] = deque(maxlen=self._longest)
        for line in lines:
            with suppress(ValueError, RecursionError):
                turn = json.loads(line)
                if isinstance(turn, str):
                    turns.append(turn)
        if len(lines) > 2 * self._longest:
            with alone(self._path):
                replace_text(self._path, "".join(f"{json.dumps(turn)}\n" for turn in turns))
        return list(turns)

    def add(self, turn: str) -> None:
        """Keep one turn more.

        Raises:
            OSError: it cannot be written.
        """
        with (
            alone(self._path),
            open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as file,
        ):
            os.chmod(self._path, 0o600)  # it may have come from elsewhere
            file.write(json.dumps(turn) + "\n")
