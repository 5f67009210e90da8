"""What stands in files that may change while the server runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from shared.errors import InputError

# Seconds after which files that could not be read are tried again, though nothing seems to have changed: what kept them
# from being read may be over, and whom they shut out is still in.
RETRY = 1.0
# Nanoseconds within which a second change may have the time of the first: file systems count in ticks.
_TICK = 100_000_000

log = logging.getLogger(__name__)
T = TypeVar("T")
# Of one file: when it was written, when anything about it was changed, its size and its inode. Whoever may read it
# changes without the first; and it can be set back, which the second cannot.
_Stamp = tuple[int, int, int, int] | None


class Followed(Generic[T]):
    """A value that is read from files again when they change. Looking costs a few microseconds a file.

    Files that cannot be used leave the last good value in use, are tried again until they can, and the log says so once
    a change.

    Args:
        what: for the log, in the plural.
        paths: of the files.
        read: reads them; raises InputError where they cannot be used.
        clock: seconds.

    Raises:
        InputError: they cannot be used now.
    """

    def __init__(
        self, what: str, paths: Iterable[Path], read: Callable[[], T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._paths, self._read_files, self._clock = what, tuple(paths), read, clock
        self._tried, self._tried_at = self._look(), clock()
        self._read = self._if_settled()
        self.value = read()

    def follow(self) -> bool:
        """Read the files again if they have changed since they were read; whether there is a new value."""
        stamps, now = self._look(), self._clock()
        is_news = stamps != self._tried
        if stamps == self._read or not (is_news or now - self._tried_at >= RETRY):
            return False
        # Looked at before they are read: what changes meanwhile is seen the next time.
        self._tried, self._tried_at = stamps, now
        try:
            self.value = self._read_files()
        except InputError as error:
            if is_news:
                log.warning("%s cannot be read again, and the old ones stay in use: %s", self._what, error)
            return False
        self._read = self._if_settled()
        if is_news:
            log.info("%s were read again", self._what)
        return True

    def _if_settled(self) -> list[_Stamp] | None:
        """What was looked at, None where a change that nothing shows may follow, so that it is read once more."""
        latest = max((stamp[1] for stamp in self._tried if stamp), default=0)
        return self._tried if abs(time.time_ns() - latest) > _TICK else None

    def _look(self) -> list[_Stamp]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> _Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
