"""A 64-bit hash of a growing text, so that two sides can tell whether they mean the same prefix."""

from __future__ import annotations

from collections.abc import Iterable

MASK = (1 << 64) - 1


def mix(h: int) -> int:
    """Finaliser of splitmix64 on an unsigned 64-bit integer (Steele, Lea, Flood 2014)."""
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB & MASK
    return h ^ (h >> 31)


def extend(prefix_hash: int, ids: Iterable[int]) -> int:
    """The hash of a prefix continued by `ids`; the empty prefix hashes to 0."""
    for token in ids:
        prefix_hash = mix((prefix_hash + token + 0x9E3779B97F4A7C15) & MASK)
    return prefix_hash
