"""Memory of a context's length, of which a device pays for what a text touches only."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress

import numpy as np


def untouched(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, ``float32``, that take no memory but the pages that are read or written.

    Where NumPy reserves as much, it asks Linux for pages of 2 MiB, and one token's keys and values then take one of these
    for every head: at a context of 8,192 most of a whole cache is there after the first token.
    """
    size = math.prod(shape)
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, max(4 * size, 1), **private)
    with suppress(AttributeError, OSError):  # other systems have no such pages, or no such choice
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, np.float32, size).reshape(shape)
