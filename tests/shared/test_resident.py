"""Memory that is paid for when it is used, and given back."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import pytest

from shared.resident import give_back, untouched

STATUS = Path("/proc/self/status")


def resident() -> int:
    """Bytes of this process's own memory."""
    found = re.search(r"^RssAnon:\s+(\d+) kB$", STATUS.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return 1024 * int(found[1])


@pytest.mark.parametrize("shape", [(3,), (1, 2, 5, 16), (0,), (2, 0, 4)])
def test_it_is_an_array_of_zeros_that_can_be_written(shape):
    array = untouched(shape)
    assert array.shape == shape
    assert array.dtype == np.float32
    assert not array.any()
    array += 1
    assert (array == 1).all()


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell what a process holds")
def test_one_token_of_a_long_cache_takes_little():
    """A cache as a draft of 8 layers has for a context of 8,192: 100 MB."""
    before = resident()
    cache = [untouched((1, 3, 8192, 64)) for _ in range(16)]
    for part in cache:
        part[:, :, 5] = 1
        assert not part[0, 0, 4000:4100].any()
    assert resident() - before < 4e6


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell what a process holds")
def test_it_is_given_back():
    before = resident()
    for _ in range(5):
        untouched((1 << 21,)).fill(1)
    assert resident() - before < 4e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to give memory back")
def test_freed_memory_is_given_back():
    """Small pieces with some between them that stay: the end of the heap stays too, so nothing goes back by itself."""
    pieces = [b"x" * (20_000 + i) for i in range(2000)]
    del pieces[:-1]
    kept = resident()
    give_back()
    assert kept - resident() > 20e6
    assert len(pieces) == 1
