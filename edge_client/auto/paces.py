"""The pace of each target, kept from run to run, so that a device's next text to it begins as the last one ended.

One JSON file a bundle, beside what is remembered of its promises. It holds times and rates, never text. Nothing hangs
on it but speed, so a file that cannot be used is only worth a sentence, and is written anew.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from edge_client.auto.pace import Pace
from edge_client.auto.stored import FORMAT, MOST_TARGETS, Target, as_json, paces
from edge_client.state import alone, remove, replace_text, state_directory
from edge_client.target.client import TargetClient
from shared.manifest import Manifest


class Paces:
    """The paces of a bundle's targets. Several threads and processes may use it; of two that measure the same target at
    once, the last one's figures stay.

    Args:
        path: of the file, which need not exist; None keeps everything in this process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._known: dict[Target, Pace] = {}
        self._lock = threading.RLock()

    @classmethod
    def at(cls, manifest: Manifest, directory: Path | None = None) -> Paces:
        """In the bundle's place; reads nothing.

        Raises:
            InputError: the user has no home to keep it in.
        """
        return cls((directory or state_directory()) / f"{manifest.identity}.pace.json")

    def of(self, client: TargetClient) -> tuple[Pace, list[str]]:
        """The pace of a target, as it was left, and what was wrong with the file, a sentence.

        The first time the way to it is measured, too, while others go on.
        """
        with self._lock:
            if (known := self._known.get(_target(client))) is not None:
                return known, []
            found, trouble = self._read()
            pace = self._known[_target(client)] = found.get(_target(client), Pace())
            # The device may be elsewhere now. Connecting took some round trips, so it bounds what one takes.
            pace.guess = min(pace.guess or client.round_trip, client.round_trip)
            pace.told = client.description.step or None
            client.ping(pace.travelled)
            return pace, trouble

    def keep(self, pace: Pace) -> list[str]:
        """Write down a pace that `of` gave out, beside those of others; returns what went wrong, a sentence, once.

        It is its target's, whoever is there by now.
        """
        with self._lock:
            target = next(target for target, known in self._known.items() if known is pace)
            if self.path is None:
                return []
            try:
                with alone(self.path):
                    others, _ = self._read()
                    others.pop(target, None)
                    kept = [*list(others.items())[1 - MOST_TARGETS :], (target, pace)]
                    data = {"format": FORMAT, "targets": [as_json(*one) for one in kept]}
                    replace_text(self.path, json.dumps(data) + "\n")
            except OSError as error:
                self.path = None
                return [f"what was measured of the target could not be kept ({error}); it ends with this program"]
            return []

    def forget(self) -> bool:
        """Remove the file; returns whether there was one.

        Raises:
            InputError: it cannot be removed.
        """
        return self.path is not None and remove(self.path)

    def _read(self) -> tuple[dict[Target, Pace], list[str]]:
        if self.path is None:
            return {}, []
        try:
            return paces(json.loads(self.path.read_text(encoding="utf-8"))), []
        except (FileNotFoundError, NotADirectoryError):
            return {}, []
        except (OSError, ValueError, RecursionError) as error:
            return {}, [
                f"what was measured in earlier runs, in {self.path}, cannot be used ({error}); it is measured anew"
            ]


def _target(client: TargetClient) -> Target:
    return Target(client.description.fingerprint, client.address)
