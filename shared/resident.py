"""Keeping what a process holds of memory small: it holds what it uses, and gives back what it used once."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from contextlib import suppress
from pathlib import Path

import numpy as np


def untouched(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, ``float32``, that take no memory but for the pages that are written.

    NumPy asks Linux for pages of 2 MiB where it reserves as much. Of a cache as long as the context one token then
    takes such a page for every head of every layer: of 8,192 tokens in 64 dimensions, most of the cache.
    """
    size = math.prod(shape)
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, max(4 * size, 1), **private)
    with suppress(AttributeError, OSError):  # other systems have no such pages, or no such choice
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, np.float32, size).reshape(shape)


def give_back() -> None:
    """Return freed memory to the system, where the C library keeps it for later: what reading large files left behind.

    Elsewhere than on Linux with glibc nothing is done.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident(process: int | None = None) -> int | None:
    """Bytes of a process that are in memory now.

    Args:
        process: its number; None for this one.

    Returns:
        None where the system does not say.
    """
    try:
        pages = Path(f"/proc/{process or 'self'}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
