"""The torch twin of `shared/noise.py`: the same integers bit for bit, on any device.

torch has no unsigned 64-bit arithmetic worth the name, so the hash runs in int64 with wrap-around, and a logical shift
is an arithmetic one with the sign bits masked away.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch

from shared import noise

_TO_UNIT = 2.0**-52
# Hashes that a CPU looks through at once: what is made of them on the way should stay in its cache.
_AT_ONCE = 1 << 16


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


_TOKEN = _signed(0x9E3779B97F4A7C15)
_MULTIPLY_1 = _signed(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = _signed(0x94D049BB133111EB)


def keys(pairs: Iterable[tuple[int, int]], stream: int, device: torch.device) -> torch.Tensor:
    """`shared.noise.key` of (seed, position) pairs as int64 with the same bits, ``int64 [n]``."""
    return torch.tensor([_signed(noise.key(seed, position, stream)) for seed, position in pairs], device=device)


def _shift(h: torch.Tensor, count: int) -> torch.Tensor:
    return (h >> count) & ((1 << (64 - count)) - 1)


def bits(position_keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The hash of token ids ``[..., n]`` under keys that broadcast against them, ``int64``."""
    h = (ids * _TOKEN) ^ position_keys
    h = (h ^ _shift(h, 30)) * _MULTIPLY_1
    h = (h ^ _shift(h, 27)) * _MULTIPLY_2
    return h ^ _shift(h, 31)


@lru_cache(maxsize=4)
def _begun(vocabulary: int, device: torch.device) -> torch.Tensor:
    """The beginning of the hash, the same under every key, ``int64 [vocabulary]``."""
    return torch.arange(vocabulary, device=device) * _TOKEN


def are_high(position_keys: torch.Tensor, vocabulary: int, least: float) -> torch.Tensor:
    """Which ids have Gumbel noise of `least` or more, and next to none besides, ``bool [n, vocabulary]``.

    Args:
        position_keys: ``int64 [n]``.
    """
    begun, found = _begun(vocabulary, position_keys.device), []
    # As `shared.noise.Peaks` does it, but that signed numbers stand in the order of unsigned ones less half of them.
    lowest = noise.lowest_bits(least) - (1 << 63)
    rows = max(_AT_ONCE // vocabulary, 1) if position_keys.device.type == "cpu" else len(position_keys)
    for some in position_keys[:, None].split(rows):
        h = begun ^ some
        h ^= _shift(h, 30)
        h *= _MULTIPLY_1
        h ^= _shift(h, 27)
        h *= _MULTIPLY_2
        h ^= _signed(1 << 63)
        found.append(h >= lowest)
    return torch.cat(found)


def uniform(position_keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Uniform noise in (0, 1), ``float64``, bit-equal to `shared.noise.uniform`."""
    return (_shift(bits(position_keys, ids), 12).double() + 0.5) * _TO_UNIT


def gumbel(position_keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Gumbel noise -log(-log(u)), ``float64``."""
    return -torch.log(-torch.log(uniform(position_keys, ids)))
