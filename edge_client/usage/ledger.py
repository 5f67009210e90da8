"""The ledger: what this device's texts spent at each target, day by day, in files that all programs of a user share.

One JSON file a day in the user's state directory, replaced whole under one lock: a program that is killed at any moment
leaves a page as it was before or after its last change, and no other page is ever touched. What a request may take is
written before it is sent (`edge_client/usage/account.py`), so a page never says less than what was spent. It holds
counts, never text.

A day is a day of the user's own: by this machine's clock and time zone when the target was asked.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import date
from pathlib import Path
from typing import ClassVar

from edge_client.state import alone, replace_text, state_directory
from edge_client.usage import daybook
from edge_client.usage.daybook import Page
from shared.errors import DamagedMemory, InputError

NAME = "usage"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Ledger:
    """The pages of all days. Several threads and processes may use it at once.

    Args:
        directory: of the pages, which need not exist; None keeps them in this process.
        clock: seconds since 1970.
    """

    # Of all ledgers of this process: the file's lock is no other thread's business, and would hang its own holder.
    _lock = threading.RLock()
    _is_changing = False
    # A stream that was left open may end anywhere, so also in the middle of a change and in its thread.
    _waiting: ClassVar[deque[Callable[[], object]]] = deque()

    def __init__(self, directory: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.directory = directory
        self._clock = clock
        self._own: dict[str, Page] = {}

    @classmethod
    def at(cls, directory: Path | None = None, clock: Callable[[], float] = time.time) -> Ledger:
        """In its place below a state directory, by default the user's; reads nothing.

        Raises:
            InputError: the user has no home to keep it in.
        """
        return cls((directory or state_directory()) / NAME, clock)

    def today(self) -> str:
        """The user's local day, as in 2026-11-27."""
        return date.fromtimestamp(self._clock()).isoformat()

    def change(self, day: str, edit: Callable[[Page], None], begins_anew: bool = True) -> list[str]:
        """Change a page, alone; what `edit` raises leaves it as it was.

        Args:
            begins_anew: a damaged page is set aside, and an empty one takes its place.

        Returns:
            What happened to a damaged page, a sentence.

        Raises:
            OSError: it cannot be read or written; it is as it was.
            DamagedMemory: it is damaged, or one of that day was, and nothing may be set aside.
        """
        with Ledger._lock:
            if Ledger._is_changing:
                Ledger._waiting.append(lambda: self._change(day, edit, begins_anew))
                return []
            Ledger._is_changing = True
            try:
                return self._change(day, edit, begins_anew)
            finally:
                while Ledger._waiting:
                    with suppress(OSError, DamagedMemory):  # what was reserved stands instead
                        Ledger._waiting.popleft()()
                Ledger._is_changing = False

    def page(self, day: str) -> Page:
        """The page of a day; empty where there is none.

        Raises:
            OSError: it cannot be read.
            DamagedMemory: it is damaged, or of another version.
        """
        if self.directory is None:
            return dict(self._own.get(day, {}))
        path = self._path(day)
        try:
            return daybook.read(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            raise DamagedMemory(f"what was spent on {day} cannot be read in {path}: {error}") from error

    def is_incomplete(self, day: str) -> bool:
        """Whether a damaged page of that day was set aside, so that nobody knows what it said."""
        return self.directory is not None and self._path(day).with_suffix(".damaged").exists()

    def days(self, last: int | None = None) -> list[str]:
        """The days that have pages, the earliest first.

        Args:
            last: so many days up to today; None for all.
        """
        if self.directory is None:
            found = set(self._own)
        else:
            names = (path.stem for path in self.directory.glob("*") if path.suffix in (".json", ".damaged"))
            found = {name for name in names if _DAY.fullmatch(name)}
        if last is not None:
            first = date.fromordinal(max(1, date.fromisoformat(self.today()).toordinal() - last + 1))
            found = {day for day in found if day >= first.isoformat()}
        return sorted(found)

    def forget(self) -> int:
        """Remove all pages; returns how many days they were.

        Raises:
            InputError: one cannot be removed.
        """
        try:
            with self._alone():
                days = self.days()
                self._own.clear()
                for path in self.directory.glob("*") if self.directory is not None else ():
                    path.unlink()
        except OSError as error:
            raise InputError(f"cannot remove {self.directory} ({error.strerror}); remove it by hand") from error
        return len(days)

    def _change(self, day: str, edit: Callable[[Page], None], begins_anew: bool) -> list[str]:
        trouble: list[str] = []
        with self._alone():
            try:
                page = self.page(day)
                if not begins_anew and self.is_incomplete(day):
                    raise DamagedMemory(
                        f"what was spent on {day} is not known: its page in {self.directory} was damaged, and was set "
                        "aside as *.damaged; remove that file to go on without it"
                    )
            except DamagedMemory as error:
                if not begins_anew:
                    raise
                self._set_aside(day)
                page = {}
                trouble.append(f"{error}; it was set aside as *.damaged, and the day begins anew")
            edit(page)
            self._write(day, page)
        return trouble

    def _alone(self) -> AbstractContextManager[object]:
        return nullcontext() if self.directory is None else alone(self.directory)

    def _path(self, day: str) -> Path:
        assert self.directory is not None, "pages in this process have no files"
        return self.directory / f"{day}.json"

    def _set_aside(self, day: str) -> None:
        self._path(day).replace(self._path(day).with_suffix(".damaged"))

    def _write(self, day: str, page: Page) -> None:
        if self.directory is None:
            self._own[day] = page
            return
        if not self._path(day).exists():
            self.directory.mkdir(exist_ok=True)
            for left in self.directory.glob(".*"):  # by a program that was killed while it wrote
                with suppress(OSError):
                    left.unlink()
        replace_text(self._path(day), daybook.written(page))
