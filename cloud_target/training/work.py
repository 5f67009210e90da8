"""Finished stages, kept in a directory under a digest of everything that determines them, so that a run can go on.

A stage is a directory of its own: made under another name, and renamed once it is whole and on the disk. A run that is
killed leaves whole stages and one that does not count. A stage that lacks one of its files is made anew.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from shared.errors import InputError
from shared.identity import file_digest
from shared.resident import give_back

# What a stage was made from.
_RECORD = "stage.json"
# Held by the run that works here.
_LOCK = ".lock"


@dataclass(frozen=True)
class Stage:
    """A finished stage: its name, its files, and the digest of what they were made from."""

    name: str
    directory: Path
    digest: str

    def __truediv__(self, file: str) -> Path:
        return self.directory / file


class Work:
    """The stages of one run in their directory; use `Work.open`.

    Args:
        directory: where they are kept.
        steps: how many titles there will be.
        tell: is told what is being done, a line at a time.
    """

    def __init__(self, directory: Path, steps: int, tell: Callable[[str], None]) -> None:
        self.directory = directory
        self._steps, self._tell = steps, tell
        self._step = 0
        self._told: set[str] = set()

    @classmethod
    @contextmanager
    def open(cls, directory: Path, steps: int, tell: Callable[[str], None]) -> Iterator[Work]:
        """Make the directory if there is none, and hold it against other runs.

        Raises:
            InputError: it cannot be written to, or another run works there.
        """
        with _writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            (directory / _LOCK).touch()
        with open(directory / _LOCK) as lock:
            _hold(lock, directory)
            for left in directory.glob(".*.tmp"):
                shutil.rmtree(left, ignore_errors=True)
            yield cls(directory, steps, tell)

    def begin(self, title: str) -> None:
        """The next step of the recipe."""
        self._step += 1
        self._told = set()
        self._tell(f"{self._step}/{self._steps} {title}")

    def stage(
        self,
        name: str,
        settings: Mapping[str, Any],
        make: Callable[[Path], None],
        after: Sequence[Stage] = (),
        say: str = "",
    ) -> Stage:
        """The stage `name`, made by `make(directory)` unless an earlier run made it from the same things.

        Args:
            name: of its directory.
            settings: all that determines it, as JSON can say it.
            make: writes its files into a directory that is there.
            after: the stages that it is made from.
            say: told when it is made, if it is one of many that take long.
        """
        record = {"settings": json.loads(json.dumps(settings)), "after": {stage.name: stage.digest for stage in after}}
        digest = hashlib.sha256(json.dumps([name, record], sort_keys=True).encode()).hexdigest()
        place = self.directory / name
        found = _read(place / _RECORD)
        files = found.pop("files", []) if found else []
        lost = [file for file in files if not (place / file).exists()]
        if found == record and not lost:
            self._once("  finished stages of an earlier run are kept")
            return Stage(name, place, digest)
        if found is not None:
            why = f"{name}/{lost[0]} is gone" if found == record else _difference(found, record)
            self._once(f"  made anew: {why}")
        if say:
            self._tell(f"  {say}")
        scratch = self.directory / f".{name}.{os.getpid()}.tmp"
        try:
            with _writing(self.directory):
                scratch.mkdir()
                make(scratch)
                whole = record | {"files": sorted(path.name for path in scratch.iterdir())}
                (scratch / _RECORD).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
                to_disk(scratch)  # else a power cut may leave the new name on files that are empty or cut short
                shutil.rmtree(place, ignore_errors=True)
                scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            give_back()
        return Stage(name, place, digest)

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def code(*modules: ModuleType) -> str:
    """Digest of the source of modules, for the settings of what they make: other code may make something else."""
    return hashlib.sha256("".join(file_digest(inspect.getfile(module)) for module in modules).encode()).hexdigest()


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to {directory} ({error.strerror or error}); make room there or give another --work; "
            "finished stages are kept"
        ) from error


def _hold(lock: TextIO, directory: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a Unix: two runs in one directory are then the user's own affair
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another run is working in {directory}; wait for it, or give another --work") from None


def to_disk(directory: Path) -> None:
    """Wait until all files of a directory, and their names, are on the disk."""
    unix = hasattr(os, "O_DIRECTORY")  # elsewhere directories cannot be opened, and files must be open to be written
    for path in (*directory.rglob("*"), directory):
        if unix or path.is_file():
            opened = os.open(path, os.O_RDONLY if unix else os.O_RDWR)
            try:
                os.fsync(opened)
            except OSError:
                if path.is_file():  # some file systems do not do this for directories
                    raise
            finally:
                os.close(opened)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In words, the first thing that changed."""
    before, now = old.get("settings", {}), new["settings"]
    for key in now:
        if before.get(key) != now[key]:
            values = [str(value) for value in (before.get(key), now[key])]
            return f"{key} changed" + (f" from {values[0]} to {values[1]}" if max(map(len, values)) < 30 else "")
    names = [name for name, digest in new["after"].items() if old.get("after", {}).get(name) != digest]
    return f"{', '.join(names) or 'what it is made from'} changed"
