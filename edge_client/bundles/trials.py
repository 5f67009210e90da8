"""The trials of new bundles, shared by all programs of a user: one JSON file in the user's state directory.

It holds counts, never text. Nothing hangs on it but which of two bundles is used: a file that cannot be read is as good
as none, and where it cannot be written, what is known stays in this object.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_client.bundles.standing import Case, Record, Standing, Verdict
from edge_client.state import alone, replace_text, state_directory
from shared.errors import InputError

NAME = "trials.json"


class Trials:
    """Several threads and processes may use them at once.

    Args:
        path: of the file, which need not exist; None keeps everything in this object.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._known = Standing()
        self._lock = threading.RLock()
        # A stream that was left open may end anywhere, so also in the middle of a change and in its thread.
        self._waiting: deque[Callable[[Standing], object]] = deque()
        self._is_changing = False

    @classmethod
    def kept(cls, keeps: bool | Path) -> Trials:
        """Those that are kept in the user's state directory (True), in another directory, or in this object (False)."""
        if isinstance(keeps, Path):
            return cls(keeps / NAME)
        with suppress(InputError):  # no home
            return cls(state_directory() / NAME if keeps else None)
        return cls()

    def case(self, address: str) -> Case | None:
        """What is on trial at an address, or was last."""
        with self._lock:
            return self._read().cases.get(address)

    def protected(self) -> set[str]:
        """Digests of bundles that a trial may go back to."""
        with self._lock:
            return {case.before for case in self._read().cases.values() if case.verdict is not Verdict.PASSED}

    def begin(self, address: str, digest: str, before: str, target: str) -> None:
        """A bundle takes the place of another one: it is on trial, unless it was already.

        Where the other one was on trial itself, the new one is held against what that was held against.

        Args:
            target: fingerprint of the one that judges.
        """

        def change(known: Standing) -> None:
            last = known.cases.get(address)
            if last is not None and (last.digest, last.target) == (digest, target):
                return
            was_open = last is not None and last.digest == before and last.verdict is Verdict.OPEN
            measured = last.before if last is not None and was_open and not last.is_second else before
            known.open(address, digest, measured, target, is_second=False)

        self._change(change)

    def add(self, address: str, record: Record, tokens: int, needed: int) -> None:
        """A text was written.

        Args:
            tokens, needed: audited tokens, and those of them for which the device needed the target.
        """
        self._change(lambda known: known.add(address, record, tokens, needed))

    def close(self, address: str, case: Case) -> None:
        """A bundle that failed is given up for the one before it.

        Where the record of that is of another target, it is on trial in its turn: it may do even worse with this one.
        """

        def change(known: Standing) -> None:
            if known.cases.get(address) == case:
                del known.cases[address]
                if not case.is_fair:
                    known.open(address, case.before, case.digest, case.target, is_second=True)

        self._change(change)

    def drop(self, address: str) -> None:
        """Nothing is on trial at an address any more."""
        if self.case(address) is not None:
            self._change(lambda known: known.cases.pop(address, None))

    def _change(self, change: Callable[[Standing], object]) -> None:
        with self._lock:
            self._waiting.append(change)
            if self._is_changing:
                return
            self._is_changing = True
            try:
                while self._waiting:
                    self._apply(self._waiting.popleft())
            finally:
                self._is_changing = False

    def _apply(self, change: Callable[[Standing], object]) -> None:
        is_done = False
        if self.path is not None:
            try:
                with alone(self.path):
                    self._known = self._read()
                    change(self._known)
                    is_done = True
                    replace_text(self.path, self._known.as_text())
            except OSError:
                self.path = None
        if not is_done:
            change(self._known)

    def _read(self) -> Standing:
        if self.path is None:
            return self._known
        try:
            return Standing.from_text(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return Standing()
