"""What a device remembers of its audits from one text to the next, so that a promise outlives a text.

One JSON file a bundle, in the user's own state directory, since bundles may be shared or read-only:
`$TANDEM_STATE`, else `$XDG_STATE_HOME/tandem`, else `~/.local/state/tandem`. It holds counts, never text.
`edge-client verifier reset` removes it. Without a file a memory lasts as long as the process.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_client.promise import standing
from edge_client.promise.beginning import Beginning
from edge_client.promise.feedback import Feedback
from edge_client.promise.learning import Learner
from edge_client.promise.promises import Entry, Learned, Promise
from edge_client.state import Stamp, alone, remove, replace_text, stamp, state_directory
from edge_client.usage.audit_counts import AuditCounts
from shared.errors import DamagedMemory, InputError
from shared.fields import listed, shown
from shared.manifest import Manifest
from shared.steering.budget import Steering
from shared.steering.evidence import Evidence

FORMAT = 3
# Which kept something else of doubts, and the same accounts.
_OLDER = 2
# Every promise has an entry; the least recently used ones are forgotten.
MOST_ENTRIES = 64


@dataclass(frozen=True)
class Lesson:
    """What one text is about to teach.

    Attributes:
        promise: under which it is written.
        feedbacks: what the text's audits teach, by verifier: those that may write it.
        losses: by how many nats each verifier was behind the best one before it; empty where that was never compared.
        lost: what each has lost in it, nats; whoever compares them fills it in.
    """

    promise: Promise
    feedbacks: Mapping[str, Feedback]
    losses: Mapping[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)

    def about(self, target: str) -> Lesson:
        """The same, of a text that turned out to be another target's: what it teaches is about that one."""
        return replace(self, promise=replace(self.promise, target=target))


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
        self._seen: Stamp = None
        self._lock = threading.RLock()
        # A stream that was left open may end anywhere, so also in the middle of `end` and in its thread.
        self._waiting: deque[tuple[Lesson, AuditCounts]] = deque()
        self._is_learning = False

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
            memory._refresh()
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
            found = _damaged(memory.path, error.__cause__)
            try:
                memory.set_aside()
            except OSError:
                return cls(), [f"{found}; what is learned now ends with this program"]
            return memory, [f"{found}; it was set aside as *.damaged, and this device begins anew"]
        except InputError as error:
            return cls(), [f"{error}; what is learned now ends with this program"]

    def begin(self, promise: Promise, beginnings: Mapping[str, Beginning]) -> Lesson:
        """What one more text under a promise may teach: it goes on from earlier texts.

        Args:
            beginnings: what each verifier that may write the text knows of it.
        """
        with self._lock:
            # Others may have taught, or forgotten, something meanwhile. If the file cannot be read, `end` will say so.
            with suppress(OSError, DamagedMemory):
                self._refresh()
            entry = self.entries.get(promise) or self._like(promise)
        feedbacks = {}
        for name, beginning in beginnings.items():
            known = entry.of(name)
            learner = Learner(known.correction) if promise.learns else None
            budget = beginning.budget(promise.budget, Steering(known.evidence, entry.steering.account))
            feedbacks[name] = Feedback(promise.criterion, budget, learner, beginning.unlike)
        return Lesson(promise, feedbacks, entry.losses)

    def end(self, lesson: Lesson, counts: AuditCounts) -> list[str]:
        """Remember one more text and what it taught, beside whatever other texts have taught meanwhile.

        What others were taught about the same promise counts as well: errors add up, whoever saw them.

        Args:
            lesson: as `begin` gave it out, and as it stands after the text.
            counts: of the text.

        Returns:
            What went wrong with the file, a sentence each. The promise is kept all the same, while this process lives.
        """
        with self._lock:
            self._waiting.append((lesson, counts))
            if self._is_learning:
                return []
            self._is_learning = True
            try:
                trouble = []
                while self._waiting:
                    trouble += self._learn(*self._waiting.popleft())
                return trouble
            finally:
                self._is_learning = False

    def set_aside(self) -> None:
        """Give a damaged file another name.

        Raises:
            OSError: it cannot be renamed.
        """
        if self.path is not None:
            self.path.replace(self.path.with_suffix(".damaged"))

    def forget(self) -> bool:
        """Forget everything, and remove the file; returns whether there was one.

        Raises:
            InputError: it cannot be removed.
        """
        self.entries.clear()
        return self.path is not None and remove(self.path)

    def _learn(self, lesson: Lesson, counts: AuditCounts) -> list[str]:
        """Add what a text taught, and write the file."""
        trouble, is_added = [], False
        try:
            with nullcontext() if self.path is None else alone(self.path):
                try:
                    self._refresh()
                except DamagedMemory as error:
                    self.set_aside()
                    found = _damaged(self.path, error.__cause__)
                    trouble.append(f"{found}; it was set aside as *.damaged, and written anew")
                self._add(lesson, counts)
                is_added = True
                self._write()
        except OSError as error:
            # From now on everything stays in this process: a promise must not begin anew with every text.
            self.path = None
            if not is_added:
                self._add(lesson, counts)
            trouble.append(f"what the audits taught could not be kept ({error}); it ends with this program")
        return trouble

    def _add(self, lesson: Lesson, counts: AuditCounts) -> None:
        promise, feedbacks = lesson.promise, lesson.feedbacks
        entry = self.entries.get(promise) or self._like(promise)
        self.entries.pop(promise, None)
        taught = {
            name: Learned(one.budget.taught.evidence, one.learner.correction if one.learner else None)
            for name, one in feedbacks.items()
        }
        # Every verifier's budget has the same account: that of the text.
        account = next(iter(feedbacks.values())).budget.taught.account
        losses = standing.carried(entry.losses, lesson.lost) if lesson.lost else entry.losses
        self.entries[promise] = entry.after(account, counts, taught, losses)
        for oldest in list(self.entries)[:-MOST_ENTRIES]:
            del self.entries[oldest]

    def _like(self, promise: Promise) -> Entry:
        """A promise's first entry: what audits said of doubts holds for every budget, so the last one's is kept."""
        for other in reversed(self.entries.values()):
            if replace(other.promise, budget=promise.budget) == promise:
                return other.like(promise)
        return Entry(promise)

    def _refresh(self) -> None:
        """Read the file, if it is another one than when it was last read or written."""
        if self.path is None:
            return
        found = stamp(self.path)
        if found is None or found != self._seen:
            self.entries = self._read()
            self._seen = found

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
        replace_text(self.path, json.dumps(data, indent=1) + "\n")
        self._seen = stamp(self.path)


def _entries(text: str) -> dict[Promise, Entry]:
    """The entries in a file's text, by promise; raises ValueError where there are none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f"it must hold an object, not {shown(data)}")
    if data.get("format") in range(1, _OLDER):
        raise ValueError("an earlier version of Tandem wrote it, which kept other figures")
    if data.get("format") not in (_OLDER, FORMAT):
        raise ValueError(f"`format` must be {FORMAT}, not {shown(data.get('format'))}")
    items = listed("entries", data.get("entries"))
    if data["format"] == _OLDER:
        items = [_renewed(item) for item in items]
    entries = [Entry.from_json(item, f"entries[{i}]") for i, item in enumerate(items)]
    return {entry.promise: entry for entry in entries}


def _renewed(entry: Any) -> Any:
    """An entry of the version before: what doubts are worth is learned anew, and no debt is forgiven."""
    if isinstance(entry, dict):
        domains = entry.get("domains")
        for part in (entry.get("steering"), *(domains.values() if isinstance(domains, dict) else ())):
            if isinstance(part, dict):
                part["evidence"] = Evidence().as_json()
    return entry


def _damaged(path: Path | None, why: BaseException | None) -> str:
    return f"what was remembered of earlier runs in {path} cannot be used: {why}"
