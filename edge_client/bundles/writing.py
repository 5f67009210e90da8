"""Writing a bundle into the place where bundles are kept: whole or not at all, by one process at a time.

What is not whole yet lies in a directory of its own, and stays there when a program is interrupted: the next try goes
on with it. It gets its name once every digest is right.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

from shared.contents import Contents
from shared.errors import BundleError, ProtocolError
from shared.manifest import read_manifest
from shared.sizes import show_size

PARTIAL = ".partial-"
# After which what was begun, and never gone on with, is removed, seconds.
STALE = 7 * 86400.0
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def write(place: Path, contents: Contents, fill: Callable[[Path], None], waits: Callable[[], None]) -> Path:
    """Put a bundle into a place, if it is not there yet; returns its directory.

    Args:
        place: where bundles are kept; made if need be.
        fill: writes the files of `contents` into a directory, in which an earlier try may have left some.
        waits: is told when another process writes the same bundle, and is waited for.

    Raises:
        BundleError: the place cannot be written to, or is full; nothing of the bundle stays there.
        ProtocolError: what was written is no bundle.
    """
    whole = place / contents.digest
    try:
        place.mkdir(parents=True, exist_ok=True)
        _remove_stale(place)
        with _alone(place / f"{PARTIAL}{contents.digest}", waits) as partial:
            if whole.is_dir():  # another one was quicker
                shutil.rmtree(partial)
                return whole
            try:
                _see_that_it_fits(partial, contents)
                fill(partial)
                _see_that_it_is_whole(partial, contents)
                _sync(partial)
            except (ProtocolError, OSError) as error:
                if isinstance(error, ProtocolError) or error.errno in _FULL:
                    shutil.rmtree(partial, ignore_errors=True)
                raise
            os.rename(partial, whole)
            _sync(place)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise BundleError(
            f"the bundle {contents.name} ({show_size(contents.size)}) cannot be kept in {place} ({why}); make room "
            "there, or set TANDEM_BUNDLES to another directory"
        ) from error
    return whole


def remove(directory: Path) -> None:
    """Remove a bundle, or what is there of one; at no moment is half of it there under its name.

    Raises:
        OSError: it cannot be removed.
    """
    if not directory.name.startswith(PARTIAL):
        aside = directory.with_name(f"{PARTIAL}removed-{os.getpid()}-{directory.name}")
        directory = directory.rename(aside)
    shutil.rmtree(directory)


@contextmanager
def _alone(directory: Path, waits: Callable[[], None]) -> Iterator[Path]:
    """Make a directory, and hold it against other processes and threads, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # not a Unix: of two at once one finds the other's files, which the digests show
        directory.mkdir(exist_ok=True)
        yield directory
        return
    is_told = False
    while True:
        # Not `exist_ok`, which looks once more at what is there: whoever held it may just have renamed it.
        with suppress(FileExistsError):
            directory.mkdir()
        try:
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # somebody has just finished with it
            continue
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not is_told:
                    waits()
                is_told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_still_there(directory, handle):
                yield directory
                return
        finally:
            os.close(handle)


def _is_still_there(directory: Path, handle: int) -> bool:
    """Whether a directory has still its name: the one that held it may have renamed or removed it."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(directory))
    except FileNotFoundError:
        return False


def _see_that_it_fits(partial: Path, contents: Contents) -> None:
    """Refuse before anything is fetched for which there is no room; raises OSError."""
    there = sum(file.stat().st_size for file in partial.iterdir())
    if shutil.disk_usage(partial).free < contents.size - there:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _see_that_it_is_whole(partial: Path, contents: Contents) -> None:
    try:
        found = Contents.of(partial, read_manifest(partial))
    except BundleError as error:
        raise ProtocolError(f"the bundle {contents.name} cannot be used: {error}") from error
    if found.digest != contents.digest:
        raise ProtocolError(f"the bundle {contents.name} is not the one that was promised; ask again what is offered")


def _sync(directory: Path) -> None:
    """Have a directory's names on the disk, where the system can: a power cut must not leave half a bundle."""
    with suppress(PermissionError):  # Windows opens no directory
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove_stale(place: Path) -> None:
    for old in place.glob(f"{PARTIAL}*"):
        with suppress(OSError):
            if time() - max(one.stat().st_mtime for one in (old, *old.iterdir())) > STALE:
                shutil.rmtree(old, ignore_errors=True)
