"""Weights in 8 or 4 bits: blocks along a row that share a scale, as onnxruntime's MatMulNBits has them.

A stored level stands for ``(level - zero) · scale``. Of 4 bits the first of two is in the lower half of a byte. A row
whose length is no multiple of the block ends with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Packing:
    """How the rows of a matrix, float32 ``[rows, inputs]``, are stored.

    Attributes:
        bits: of a weight, 8 or 4.
        block: weights that share a scale.
        has_zeros: whether each block has a level of its own that stands for 0, so that its levels reach from its least
            to its largest weight, as of 4 bits every level counts. Else that is the middle one.
    """

    bits: int
    block: int
    has_zeros: bool = False

    def blocks(self, inputs: int) -> int:
        """How many blocks a row has."""
        return -(-inputs // self.block)

    def scales(self, rows: np.ndarray) -> np.ndarray:
        """Of each block, float32 ``[rows, blocks]``."""
        blocks = self._in_blocks(rows)
        if self.has_zeros:
            least, largest = self._range(blocks)
            return (largest - least) / np.float32(self._most)
        return np.abs(blocks).max(axis=2) / np.float32(self._most // 2)

    def zeros(self, rows: np.ndarray) -> np.ndarray:
        """The level of each block that stands for 0, uint8 ``[rows, blocks · bits / 8]``, of 4 bits rounded up."""
        found = self._zeros(self._in_blocks(rows), self.scales(rows)).astype(np.uint8)
        return self._together(np.pad(found, ((0, 0), (0, found.shape[1] % (8 // self.bits)))))

    def pack(self, rows: np.ndarray) -> np.ndarray:
        """The levels, uint8 ``[rows, blocks, block · bits / 8]``."""
        levels, zeros, _ = self._levels(rows)
        levels += zeros[..., None]
        return self._together(levels.astype(np.uint8))

    def rounded(self, rows: np.ndarray) -> np.ndarray:
        """What the stored levels stand for, float32 of the same shape."""
        levels, _, scales = self._levels(rows)
        levels *= scales[..., None]
        return levels.reshape(len(rows), -1)[:, : rows.shape[1]]

    @property
    def _most(self) -> int:
        return (1 << self.bits) - 1

    def _levels(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Levels above that of 0, these, and the scales."""
        blocks, scales = self._in_blocks(rows), self.scales(rows)
        zeros = self._zeros(blocks, scales)
        levels = blocks / np.where(scales > 0, scales, np.float32(1))[..., None]
        np.rint(levels, out=levels)
        return np.clip(levels, -zeros[..., None], self._most - zeros[..., None], out=levels), zeros, scales

    def _zeros(self, blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
        if not self.has_zeros:
            return np.full(scales.shape, 1 << (self.bits - 1), np.float32)
        least, _ = self._range(blocks)
        return np.rint(-least / np.where(scales > 0, scales, np.float32(1)))

    def _range(self, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest of each block, 0 included."""
        return np.minimum(blocks.min(axis=2), 0), np.maximum(blocks.max(axis=2), 0)

    def _in_blocks(self, rows: np.ndarray) -> np.ndarray:
        count, inputs = rows.shape
        if missing := -inputs % self.block:
            rows = np.pad(rows, ((0, 0), (0, missing)))
        return rows.reshape(count, -1, self.block)

    def _together(self, levels: np.ndarray) -> np.ndarray:
        return levels if self.bits == 8 else levels[..., ::2] | levels[..., 1::2] << 4
