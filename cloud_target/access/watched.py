"""Files that may change while the server runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_Stamp = tuple[int, int, int] | None


class Watched:
    """Some files, and whether they were changed since somebody last asked. Asking costs a few microseconds a file."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._stamps = self._look()

    def changed(self) -> bool:
        """Whether one was written, replaced, made or removed since the last call."""
        stamps = self._look()
        changed, self._stamps = stamps != self._stamps, stamps
        return changed

    def _look(self) -> list[_Stamp]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> _Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
