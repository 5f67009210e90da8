"""Amounts of memory as people write and read them."""

from __future__ import annotations

import pytest

from shared.errors import InputError
from shared.sizes import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("2GiB", 2 << 30), ("512 MB", 512_000_000), ("1.5kib", 1536), ("1TB", 10**12)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "2 apples", "-1GiB", "0", "0.1B", "1e9"])
def test_what_is_no_size(text):
    with pytest.raises(InputError, match="write a"):
        parse_size(text)


def test_sizes_are_shown_in_the_unit_that_fits():
    assert [show_size(size) for size in (12, 1 << 20, 3 << 29, 1023 << 20)] == [
        "12 B",
        "1 MiB",
        "1.5 GiB",
        "1023 MiB",
    ]
