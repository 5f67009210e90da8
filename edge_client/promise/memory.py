"""What a device remembers of its audits from one text to the next, so that a promise outlives a text.

One JSON file a bundle, in the user's own state directory, since bundles may be shared or read-only:
`$TANDEM_STATE`, else `$XDG_STATE_HOME/tandem`, else `~/.local/state/tandem`. It holds counts, never text.
`edge-client verifier reset` removes it. Without a file a memory lasts as long as the process.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_client.promise.budget import Budget
from edge_client.promise.entries import Entry, Promise
from edge_client.promise.feedback import Feedback
from edge_client.promise.learning import Learner
from edge_client.usage.audit import AuditCounts
from shared.bundle import Manifest
from shared.errors import DamagedMemory, InputError
from shared.fields import listed, shown

FORMAT = 1
# Every promise has an entry; the least recently used ones are forgotten.
MOST_ENTRIES = 64


class Memory:
    """The entries of one bundle. Several texts at once, in several threads and processes, may use it.

    Args:
        path: of the file, which need not exist; None keeps everything in this process.

    Attributes:
        entries: by promise, oldest use first.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.entries: dict[Promise, Entry] = {}
        self._lock = threading.Lock()

    @classmethod
    def at(cls, manifest: Manifest, directory: Path | None = None) -> Memory:
        """An empty memory in the bundle's place; reads nothing."""
        return cls((directory or state_directory()) / f"{manifest.identity}.json")

    @classmethod
    def open(cls, manifest: Manifest, directory: Path | None = None) -> Memory:
        """What is remembered of a bundle; empty where there is nothing.

        Raises:
            DamagedMemory: the file is damaged, or of another version.
            InputError: it cannot be read.
        """
        memory = cls.at(manifest, directory)
        try:
            memory.entries = memory._read()
        except OSError as error:
            raise InputError(
                f"cannot read {memory.path} ({error.strerror}); see who may read it, or set TANDEM_STATE to "
                "another directory"
            ) from error
        return memory

    @classmethod
    def recover(cls, manifest: Manifest, directory: Path | None = None) -> tuple[Memory, list[str]]:
        """As `open`, but a file that cannot be used must not keep anybody from writing; what happened, a sentence each.

        A damaged file is set aside, and the memory begins anew. One that somebody else may read is left as it is, and
        what is learned stays in this process.
        """
        try:
            return cls.open(manifest, directory), []
        except DamagedMemory as error:
            memory = cls.at(manifest, directory)
            try:
                memory.set_aside()
            except OSError:
                return cls(), [f"{error}; until then this run remembers nothing"]
            found = _damaged(memory.path, error.__cause__)
            return memory, [f"{found}; it was set aside as *.damaged, and this run begins anew"]
        except InputError as error:
            return cls(), [f"{error}; until then this run remembers nothing"]

    def begin(self, promise: Promise, first_threshold: float) -> Feedback:
        """Feedback for one more text under a promise: it goes on from earlier texts.

        Args:
            first_threshold: where its budget begins if there were none.
        """
        with self._lock:
            entry = self.entries.get(promise)
        if entry is None:
            budget = Budget(promise.budget, first_threshold)
        else:
            budget = Budget.resume(promise.budget, entry.steering)
        learner = Learner(entry.correction if entry else None) if promise.learns else None
        return Feedback(promise.criterion, budget, learner)

    def end(self, promise: Promise, counts: AuditCounts, feedback: Feedback) -> None:
        """Remember one more text and what it taught, beside whatever other texts have taught meanwhile.

        What others were taught about the same promise counts as well: errors add up, whoever saw them.

        Args:
            feedback: as `begin` gave it out, and as it stands after the text.

        Raises:
            DamagedMemory, OSError: it cannot be kept; what was there is as it was.
        """
        with self._lock, self._alone():
            if self.path is not None:
                self.entries = self._read()
            entry = self.entries.pop(promise, None) or Entry(promise, feedback.began)
            steering = feedback.budget.steering
            if entry.steering != feedback.began:
                moved = entry.steering.moved(feedback.began, steering)
                steering = Budget.resume(promise.budget, moved).steering
            correction = feedback.learner.correction if feedback.learner else None
            if correction and entry.correction and entry.correction.tokens > correction.tokens:
                correction = entry.correction
            self.entries[promise] = entry.after(steering, counts, correction)
            for oldest in list(self.entries)[:-MOST_ENTRIES]:
                del self.entries[oldest]
            self._write()

    def set_aside(self) -> None:
        """Give a damaged file another name, and begin anew.

        Raises:
            OSError: it cannot be renamed.
        """
        self.entries.clear()
        if self.path is not None:
            self.path.replace(self.path.with_suffix(".damaged"))

    def forget(self) -> bool:
        """Forget everything, and remove the file; returns whether there was one.

        Raises:
            InputError: it cannot be removed.
        """
        self.entries.clear()
        if self.path is None or not self.path.is_file():
            return False
        try:
            self.path.unlink()
            self.path.with_suffix(".lock").unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot remove {self.path} ({error.strerror}); remove it by hand") from error
        return True

    def _read(self) -> dict[Promise, Entry]:
        if self.path is None:
            return {}
        try:
            return _entries(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            raise DamagedMemory(f"{_damaged(self.path, error)}; remove that file to begin anew") from error

    def _write(self) -> None:
        if self.path is None:
            return
        data = {"format": FORMAT, "entries": [entry.as_json() for entry in self.entries.values()]}
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix=".", delete=False, encoding="utf-8") as file:
            try:
                file.write(json.dumps(data, indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
                os.replace(file.name, self.path)
            except BaseException:
                os.unlink(file.name)
                raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the file against other processes, where the system has such locks."""
        if self.path is None:
            yield
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            try:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX)
            except ImportError:
                pass  # not a Unix: the last of two processes at once wins
            yield


def _entries(text: str) -> dict[Promise, Entry]:
    """The entries in a file's text, by promise; raises ValueError where there are none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f"it must hold an object, not {shown(data)}")
    if data.get("format") != FORMAT:
        raise ValueError(f"`format` must be {FORMAT}, not {shown(data.get('format'))}")
    items = listed("entries", data.get("entries"))
    entries = [Entry.from_json(item, f"entries[{i}]") for i, item in enumerate(items)]
    return {entry.promise: entry for entry in entries}


def _damaged(path: Path | None, why: BaseException | None) -> str:
    return f"what was remembered of earlier runs in {path} is damaged: {why}"


def state_directory() -> Path:
    """Where programs of this user keep what they learn.

    Raises:
        InputError: the user has no home.
    """
    if given := os.environ.get("TANDEM_STATE") or os.environ.get("XDG_STATE_HOME"):
        return Path(given) if os.environ.get("TANDEM_STATE") else Path(given) / "tandem"
    try:
        return Path.home() / ".local" / "state" / "tandem"
    except RuntimeError as error:
        raise InputError(
            "this user has no home directory to remember audits in; set TANDEM_STATE to a directory"
        ) from error
