"""A bundle, and what this device has learned with it: its promises, and the pace of its targets."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from edge_client.auto.pace import Pace
from edge_client.auto.paces import Paces
from edge_client.bundles.bundle import Bundle
from edge_client.promise.memory import Memory
from edge_client.target.client import TargetClient
from shared.errors import InputError


class Kit:
    """What texts are written with; several at once may share it.

    Args:
        bundle: the models.
        keeps: where what is learned is kept: True, in the user's state directory; a directory, there; False, in this
            object only.
    """

    def __init__(self, bundle: Bundle, keeps: bool | Path) -> None:
        self.bundle = bundle
        self._keeps = keeps
        self._memory: Memory | None = None
        self._paces: Paces | None = None
        self._told: set[str] = set()
        self._lock = threading.RLock()

    def memory(self) -> tuple[Memory, list[str]]:
        """What earlier texts have taught, and why a file of it cannot be used, a sentence, once."""
        with self._lock:
            trouble: list[str] = []
            if self._memory is None:
                memory = Memory()
                if self._keeps:
                    memory, trouble = Memory.recover(self.bundle.manifest, self._directory)
                self._memory = memory
            return self._memory, trouble

    def once(self, sentences: Iterable[str]) -> list[str]:
        """Those of some sentences about the bundle and a target that no text was told of before."""
        with self._lock:
            new = [sentence for sentence in sentences if sentence not in self._told]
            self._told.update(new)
            return new

    def pace(self, client: TargetClient) -> tuple[Pace, list[str]]:
        """What was measured of a target, by earlier texts and in earlier runs, and what was wrong with the file."""
        with self._lock:
            if self._paces is None:
                self._paces = Paces()
                if self._keeps:
                    with suppress(InputError):  # no home: `memory` says so
                        self._paces = Paces.at(self.bundle.manifest, self._directory)
            return self._paces.of(client)

    def keep_pace(self, pace: Pace) -> list[str]:
        """Write down what was measured of a target; returns what went wrong, a sentence, once."""
        return [] if self._paces is None else self._paces.keep(pace)

    @property
    def _directory(self) -> Path | None:
        return self._keeps if isinstance(self._keeps, Path) else None
