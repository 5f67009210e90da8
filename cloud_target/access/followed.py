"""What stands in files that may change while the server runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from shared.errors import InputError

# Seconds after which files that could not be read are tried again, though nothing seems to have changed: what kept them
# from being read may be over, and whom they shut out is still in.
RETRY = 1.0
# Nanoseconds within which a second change may have the time of the first: file systems count in ticks.
_TICK = 100_000_000
# Seconds between the two looks that have to find the same before a loss is believed; and how long one is doubted where
# the files are never twice the same.
AGAIN = _TICK / 1e9
DOUBTED = 3 * RETRY

log = logging.getLogger(__name__)
T = TypeVar("T")
# Of one file: when it was written, when anything about it was changed, its size and its inode. Whoever may read it
# changes without the first; and it can be set back, which the second cannot.
_Stamp = tuple[int, int, int, int] | None


@dataclass(frozen=True)
class _Doubt:
    """A loss that is not believed yet: how the files were when it was seen, when that was, and since when one was."""

    stamps: list[_Stamp]
    at: float
    since: float


class Followed(Generic[T]):
    """A value that is read from files again when they change. Looking costs a few microseconds a file.

    Files that cannot be used leave the last good value in use, are tried again until they can, and the log says so once
    a change. One that is being written is empty for a moment, or ends early: what is lost of a value is therefore
    believed at a later look only, and what is new at once.

    Args:
        what: for the log, in the plural.
        paths: of the files.
        read: reads them; raises InputError where they cannot be used.
        keep: what to use of the value in use and the new one while a loss is doubted; None where nothing is lost.
        clock: seconds.

    Raises:
        InputError: they cannot be used now.
    """

    def __init__(
        self,
        what: str,
        paths: Iterable[Path],
        read: Callable[[], T],
        clock: Callable[[], float] = time.monotonic,
        keep: Callable[[T, T], T | None] = lambda old, new: None,
    ) -> None:
        self._what, self._paths, self._read_files, self._clock, self._keep = what, tuple(paths), read, clock, keep
        self._doubt: _Doubt | None = None
        self._tried, self._tried_at = self._look(), clock()
        self._read = self._if_settled()
        self.value = read()

    def follow(self) -> bool:
        """Read the files again if they have changed since they were read; whether there is a new value."""
        stamps, now = self._look(), self._clock()
        is_news = stamps != self._tried
        pause = RETRY if self._doubt is None else AGAIN
        if stamps == self._read or not (is_news or now - self._tried_at >= pause):
            return False
        # Looked at before they are read: what changes meanwhile is seen the next time.
        self._tried, self._tried_at = stamps, now
        try:
            read = self._read_files()
        except InputError as error:
            if is_news:
                log.warning("%s cannot be read again, and the old ones stay in use: %s", self._what, error)
            return False
        kept = self._keep(self.value, read)
        if kept is not None and self._is_doubted(stamps, now):
            self.value, self._read = kept, None
        else:
            self.value, self._read, self._doubt = read, self._if_settled(), None
        if is_news:
            log.info("%s were read again", self._what)
        return True

    def _is_doubted(self, stamps: list[_Stamp], now: float) -> bool:
        """Whether a loss that is seen now is still to be seen again."""
        doubt = self._doubt or _Doubt(stamps, now, now)
        if doubt.stamps != stamps:
            doubt = _Doubt(stamps, now, doubt.since)
        self._doubt = doubt
        return now - doubt.at < AGAIN and now - doubt.since < DOUBTED

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
