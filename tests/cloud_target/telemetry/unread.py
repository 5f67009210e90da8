"""A stream that nobody reads: whoever writes to it waits until somebody does."""

from __future__ import annotations

import io
import threading
from typing import Any


class Unread(io.StringIO):
    """Read from `read_on` on; a context manager that reads it at its end, so that no thread stays in it.

    Attributes:
        waits: somebody waits in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits, self._is_read = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.waits.set()
        self._is_read.wait()
        return super().write(text)

    def read_on(self) -> None:
        """From now on everything is read at once."""
        self._is_read.set()

    def __exit__(self, *about: Any) -> None:
        self.read_on()
