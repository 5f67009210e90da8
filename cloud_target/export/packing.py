"""Weights in 8 or 4 bits: blocks along a row that share a scale, as onnxruntime's MatMulNBits has them.

A stored level stands for ``(level - 2^(bits - 1)) · scale``. Of 4 bits the first of two weights is in the lower half of
a byte. A row whose length is no multiple of the block ends with zeros.
"""

from __future__ import annotations

import numpy as np


def blocks_of(inputs: int, block: int) -> int:
    """How many blocks a row has."""
    return -(-inputs // block)


def scales(rows: np.ndarray, bits: int, block: int) -> np.ndarray:
    """The scale of each block, float32 ``[rows, blocks]``, for float32 rows ``[rows, inputs]``."""
    return np.abs(_in_blocks(rows, block)).max(axis=2) / np.float32((1 << (bits - 1)) - 1)


def pack(rows: np.ndarray, bits: int, block: int) -> np.ndarray:
    """The levels, uint8 ``[rows, blocks, block · bits / 8]``."""
    levels = _levels(rows, bits, block)
    levels += 1 << (bits - 1)
    found = levels.astype(np.uint8)
    return found if bits == 8 else found[..., ::2] | found[..., 1::2] << 4


def rounded(rows: np.ndarray, bits: int, block: int) -> np.ndarray:
    """What the stored levels stand for, float32 of the same shape."""
    levels = _levels(rows, bits, block)
    levels *= scales(rows, bits, block)[..., None]
    return levels.reshape(len(rows), -1)[:, : rows.shape[1]]


def _levels(rows: np.ndarray, bits: int, block: int) -> np.ndarray:
    found = scales(rows, bits, block)
    levels = _in_blocks(rows, block) / np.where(found > 0, found, np.float32(1))[..., None]
    return np.rint(levels, out=levels)


def _in_blocks(rows: np.ndarray, block: int) -> np.ndarray:
    count, inputs = rows.shape
    if missing := -inputs % block:
        rows = np.pad(rows, ((0, 0), (0, missing)))
    return rows.reshape(count, -1, block)
