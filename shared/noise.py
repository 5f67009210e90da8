"""The noise that both sides share: a pure function of (seed, position, token id).

Counter-based, no state: a splitmix64-style integer hash mapped to (0, 1), then to Gumbel noise. The torch twin in
`cloud_target/engine/scoring/noise.py` gives the same integers bit for bit; golden vectors in the tests hold both to it.
"""

from __future__ import annotations

import math

import numpy as np

from shared.prefix_hash import MASK, mix

_POSITION = 0xD1B54A32D192ED03
_TOKEN_INT = 0x9E3779B97F4A7C15
_TOKEN = np.uint64(_TOKEN_INT)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_30, _SHIFT_27, _SHIFT_31, _SHIFT_12 = (np.uint64(n) for n in (30, 27, 31, 12))
_TO_UNIT = 2.0**-52  # 52 bits and a half: exact in float64, never 0 and never 1

# Beyond this its exponential is 1 or no number, and no noise is as high.
_MOST = 700.0
# By so much a share of all ids may be off in its last digits, in proportion.
_SLACK = 2.0**-40
# And a hash: the last step leaves the upper 31 bits as they are, and noise hangs on the upper 52 of the outcome.
_ROUNDED = 1 << 34

# Independent streams: the residual coupling needs randomness that the draft's own draw has not used.
DRAW, ACCEPT, RESIDUAL = 0, 1, 2


def key(seed: int, position: int, stream: int = DRAW) -> int:
    """The hash of all but the token id, an unsigned 64-bit integer: computed once a position."""
    return mix(mix((seed + stream * 0x632BE59BD9B4E019) & MASK) ^ (position * _POSITION & MASK))


def bits(position_key: int, ids: np.ndarray) -> np.ndarray:
    """The hash for token ids of any shape, ``uint64``."""
    h = ids.astype(np.uint64)
    h *= _TOKEN
    h ^= np.uint64(position_key)
    h ^= h >> _SHIFT_30
    h *= _MULTIPLY_1
    h ^= h >> _SHIFT_27
    h *= _MULTIPLY_2
    h ^= h >> _SHIFT_31
    return h


def uniform(position_key: int, ids: np.ndarray) -> np.ndarray:
    """Uniform noise in the open interval (0, 1), ``float64``, for token ids of any shape."""
    h = bits(position_key, ids)
    h >>= _SHIFT_12
    u = h.astype(np.float64)
    u += 0.5
    u *= _TO_UNIT
    return u


def gumbel(position_key: int, ids: np.ndarray) -> np.ndarray:
    """Gumbel noise ``-log(-log(u))``, ``float64``, for token ids of any shape."""
    u = uniform(position_key, ids)
    np.log(u, out=u)
    np.negative(u, out=u)
    np.log(u, out=u)
    np.negative(u, out=u)
    return u


class Peaks:
    """Finds where in a vocabulary the noise is high, without a logarithm for each id.

    Of the hash alone it is plain that hardly any id has much noise, so all but those few are left out by comparing
    integers. It has memory of its own for that, so each thread needs one for itself.

    Args:
        vocabulary: ids are below it.
    """

    def __init__(self, vocabulary: int) -> None:
        self._begun = np.arange(vocabulary, dtype=np.uint64)
        self._begun *= _TOKEN
        self._hash, self._shifted = np.empty_like(self._begun), np.empty_like(self._begun)
        self._is_high = np.empty(vocabulary, bool)

    def above(self, position_key: int, least: float) -> np.ndarray:
        """In order, all ids whose Gumbel noise is `least` or more, and next to none besides, ``int64 [n]``."""
        h, shifted = self._hash, self._shifted
        np.bitwise_xor(self._begun, np.uint64(position_key), out=h)
        h ^= np.right_shift(h, _SHIFT_30, out=shifted)
        h *= _MULTIPLY_1
        h ^= np.right_shift(h, _SHIFT_27, out=shifted)
        h *= _MULTIPLY_2
        # What is left of the hash changes only bits that `lowest_bits` does not rely on.
        np.greater_equal(h, np.uint64(lowest_bits(least)), out=self._is_high)
        return np.flatnonzero(self._is_high)


def lowest_bits(least: float) -> int:
    """No id whose Gumbel noise is `least` or more has a hash below this, with its last step, ``h ^ h >> 31``, or
    without; and nearly all others have."""
    share = -math.expm1(-math.exp(-max(least, -_MOST)))  # of all ids have as much
    return max((1 << 64) - int(share * (1 + _SLACK) * 2.0**64) - _ROUNDED, 0)


def gumbel_of(position_key: int, token: int) -> float:
    """`gumbel` for one token id, without arrays: cheaper for a handful of them, and the same number."""
    h = mix((token * _TOKEN_INT & MASK) ^ position_key)
    return -math.log(-math.log(((h >> 12) + 0.5) * _TO_UNIT))
