"""Files in which programs of one user keep what they have learned: written whole or not at all, by one at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import InputError

# Of a file: time, size and number; None where there is none.
Stamp = tuple[int, int, int] | None


def state_directory() -> Path:
    """Where programs of this user keep what they learn: `$TANDEM_STATE`, else `$XDG_STATE_HOME/tandem`, else
    `~/.local/state/tandem`.

    Raises:
        InputError: the user has no home.
    """
    if given := os.environ.get("TANDEM_STATE") or os.environ.get("XDG_STATE_HOME"):
        place = Path(given).expanduser()
        return place if os.environ.get("TANDEM_STATE") else place / "tandem"
    try:
        return Path.home() / ".local" / "state" / "tandem"
    except RuntimeError as error:
        raise InputError(
            "this user has no home directory to remember audits in; set TANDEM_STATE to a directory"
        ) from error


def stamp(path: Path) -> Stamp:
    """What changes when a file is written or replaced; None where there is none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def replace_text(path: Path, text: str) -> None:
    """Write a file anew: whoever reads it sees the old text or the new one, after a power cut too.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    with suppress(OSError):  # there are systems on which a directory cannot be opened
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def remove(path: Path) -> bool:
    """Remove a file and its lock; returns whether there was one.

    Raises:
        InputError: it cannot be removed.
    """
    if not path.is_file():
        return False
    try:
        path.unlink()
        path.with_suffix(".lock").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot remove {path} ({error.strerror}); remove it by hand") from error
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a file against other processes, where the system has such locks; makes its directory.

    Raises:
        OSError: the directory, or the lock beside the file, cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        except ImportError:
            pass  # not a Unix: the last of two processes at once wins
        yield
