"""Whole documents packed into rows of one length, so that every row begins as a text does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_OPEN_ROWS = 64


def pack_rows(lengths: np.ndarray, width: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Rows of documents, as indices in an order drawn from `random`, that fit into `width` tokens (best fit).

    A document longer than `width` has a row for itself, to be cut.
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for index in random.permutation(len(lengths)).tolist():
        length = min(int(lengths[index]), width)
        fitting = [(space, row) for row, space in enumerate(left) if space >= length]
        if fitting:
            space, row = min(fitting)
            rows[row].append(index)
            left[row] = space - length
        else:
            row = len(rows)
            rows.append([index])
            left.append(width - length)
        if left[row] == 0 or len(rows) > _OPEN_ROWS:
            fullest = min(range(len(rows)), key=left.__getitem__)
            left.pop(fullest)
            yield rows.pop(fullest)
    yield from rows


def row_places(row: list[int], starts: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """Where a row's tokens lie in the concatenated documents, ``int64 [width]``; -1 where the row is padded."""
    places = np.full(width, -1, np.int64)
    at = 0
    for index in row:
        length = min(int(lengths[index]), width - at)
        places[at : at + length] = np.arange(starts[index], starts[index] + length)
        at += length
    return places
