"""Bundles that are in use: whoever has loaded one holds its directory, and nobody removes it meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import finalize

from edge_client.bundles.bundle import Bundle


def hold(directory: Path) -> int | None:
    """Hold a kept bundle, until the handle is closed; None where the system has no such locks, or it is gone."""
    return _locked(directory, is_shared=True)


@contextmanager
def alone_with(directory: Path) -> Iterator[bool]:
    """Keep others from beginning to use a bundle; gives whether nobody uses it, which without locks nobody knows."""
    handle = _locked(directory, is_shared=False)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def load_held(directory: Path, threads: int) -> Bundle:
    """Load a bundle that is kept; its directory is held until nothing refers to the bundle any more.

    Raises:
        BundleError: see `Bundle.load`.
    """
    handle = hold(directory)
    try:
        bundle = Bundle.load(directory, threads)
    except BaseException:
        if handle is not None:
            os.close(handle)
        raise
    if handle is not None:
        finalize(bundle, os.close, handle)
    return bundle


def _locked(directory: Path, is_shared: bool) -> int | None:
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return handle
    except OSError:
        os.close(handle)
        return None
