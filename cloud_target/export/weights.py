"""The constants of a graph: known by shape, and read from the checkpoint a piece at a time, when they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Values of a piece: what is made of it, in float32 and several times over, stays small.
_PIECE = 4 << 20


@dataclass(frozen=True)
class Weight:
    """A constant that is read when it is needed.

    Attributes:
        shape, dtype: as the graph has it.
        rows: reads some along the first axis, from one number to another.
        columns: of a matrix, reads some along the second axis, transposed; None for what is never turned.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    rows: Callable[[int, int], np.ndarray]
    columns: Callable[[int, int], np.ndarray] | None = None

    @classmethod
    def of(cls, array: Any) -> Weight:
        """An array that is in memory."""
        array = np.asarray(array)
        if not array.ndim:
            return cls((), array.dtype, lambda first, last: array)
        return cls(array.shape, array.dtype, lambda a, b: array[a:b], lambda a, b: array[:, a:b].T)

    @classmethod
    def stacked(cls, parts: Sequence[torch.Tensor]) -> Weight:
        """Vectors, or matrices over one input, one behind the other along the first axis, as float32."""
        starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()

        def rows(first: int, last: int) -> np.ndarray:
            cut = (part[max(first - s, 0) : max(last - s, 0)] for part, s in zip(parts, starts, strict=False))
            return torch.cat([part.float() for part in cut]).numpy()

        def columns(first: int, last: int) -> np.ndarray:
            return torch.cat([part[:, first:last].float() for part in parts]).T.numpy()

        return cls((starts[-1], *parts[0].shape[1:]), np.dtype(np.float32), rows, columns)

    @property
    def T(self) -> Weight:
        """The transposed matrix."""
        if self.columns is None or len(self.shape) != 2:
            raise TypeError(f"a constant of the shape {list(self.shape)} cannot be turned")
        return Weight(self.shape[::-1], self.dtype, self.columns, self.rows)

    @property
    def nbytes(self) -> int:
        """Of all its values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def pieces(self) -> Iterator[np.ndarray]:
        """All of it along the first axis, in its own dtype and in C order."""
        count = self.shape[0] if self.shape else 1
        step = max(_PIECE // max(math.prod(self.shape[1:]), 1), 1)
        for first in range(0, count, step):
            yield np.asarray(self.rows(first, min(first + step, count)), self.dtype, order="C")

    def array(self) -> np.ndarray:
        """All of it at once."""
        pieces = list(self.pieces())
        if not pieces:
            return np.zeros(self.shape, self.dtype)
        return np.concatenate(pieces) if self.shape else pieces[0]
