"""A 64-bit hash of a growing text, so that two sides can tell whether they mean the same prefix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def mix(h: int) -> int:
    """Finaliser of splitmix64 on an unsigned 64-bit integer (Steele, Lea, Flood 2014)."""
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB & MASK
    return h ^ (h >> 31)


def unmix(h: int) -> int:
    """What `mix` makes `h` of."""
    h ^= h >> 31 ^ h >> 62
    h = h * 0x319642B2D24D8EC3 & MASK
    h ^= h >> 27 ^ h >> 54
    h = h * 0x96DE1B173F119089 & MASK
    return h ^ h >> 30 ^ h >> 60


def extend(prefix_hash: int, ids: Iterable[int]) -> int:
    """The hash of a prefix continued by `ids`; the empty prefix hashes to 0."""
    for token in ids:
        prefix_hash = mix((prefix_hash + token + _STEP) & MASK)
    return prefix_hash


def last_token(prefix_hash: int, extended: int) -> int:
    """The id that extends the one hash to the other, if any does; where none does, most likely a very large number."""
    return (unmix(extended) - prefix_hash - _STEP) & MASK


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """With how many of the same ids two texts begin."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:  # as lists are, at once
        return length
    return next((i for i in range(length) if one[i] != other[i]), length)
