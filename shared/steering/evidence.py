"""What audits have said of doubts: how many tokens were doubted so much, and how many of them were errors.

Counts on a grid of log-odds and of how unlike the calibrated text was worded; what lies between two points of it counts
at both, at each by how near it is, so that sums and means stay as they were. Counting forgets nothing but the order:
what is made of the counts may be made anew with each audit, and is the same however the audits came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# Evidence fades to a third over so many audited doubts: a device's texts change.
MEMORY = 4000
# The grid: log-odds of a doubt, and how unlike the calibrated text it was worded, bytes a token.
LOG_ODDS = np.arange(-14.0, 14.25, 0.5)
UNLIKE = np.array((0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0))


def _nothing() -> np.ndarray:
    return np.zeros((len(LOG_ODDS), len(UNLIKE)))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Audited doubts; those of several texts add up. Its arrays are never changed.

    Attributes:
        tokens, errors: at each point of the grid, ``float64 [LOG_ODDS, UNLIKE]``.
        doubts: how many were audited in all, faded or not.
    """

    tokens: np.ndarray = field(default_factory=_nothing)
    errors: np.ndarray = field(default_factory=_nothing)
    doubts: int = 0

    @classmethod
    def of(cls, log_odds: np.ndarray, is_error: np.ndarray, unlike: float) -> Evidence:
        """One audit.

        Args:
            log_odds: of each doubt, ``float64 [n]``.
            is_error: what became of it, ``bool [n]``.
            unlike: how unlike the calibrated text that was worded which they are about.
        """
        tokens, errors = _nothing(), _nothing()
        row, beyond = _between(LOG_ODDS, log_odds)
        columns, aside = _between(UNLIKE, np.array([unlike]))
        for place, share in ((row, 1.0 - beyond), (row + 1, beyond)):
            counted, wrong = (np.bincount(place, share * weight, len(LOG_ODDS)) for weight in (1.0, is_error))
            for column, part in ((columns[0], 1.0 - aside[0]), (columns[0] + 1, aside[0])):
                tokens[:, column] += part * counted
                errors[:, column] += part * wrong
        return cls(tokens, errors, len(log_odds))

    def then(self, later: Evidence) -> Evidence:
        """With later evidence, beside which this one fades."""
        fade = (1.0 - 1.0 / MEMORY) ** later.doubts
        return Evidence(
            fade * self.tokens + later.tokens, fade * self.errors + later.errors, self.doubts + later.doubts
        )

    @property
    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Log-odds, unlikeness, tokens and errors wherever there is something, ``float64 [n]`` each."""
        rows, columns = np.nonzero(self.tokens)
        return LOG_ODDS[rows], UNLIKE[columns], self.tokens[rows, columns], self.errors[rows, columns]

    def as_json(self) -> dict[str, object]:
        """Plain values, from which `from_json` makes the same evidence."""
        rows, columns = np.nonzero(self.tokens)
        tokens, errors = self.tokens[rows, columns], self.errors[rows, columns]
        cells = zip(rows.tolist(), columns.tolist(), tokens.tolist(), errors.tolist(), strict=True)
        return {"cells": [list(cell) for cell in cells], "doubts": self.doubts}

    @classmethod
    def from_json(cls, cells: Sequence[Sequence[float]], doubts: int) -> Evidence:
        """From rows and columns of the grid with the tokens and errors there; see who checks them."""
        tokens, errors = _nothing(), _nothing()
        for row, column, count, wrong in cells:
            tokens[int(row), int(column)], errors[int(row), int(column)] = count, wrong
        return cls(tokens, errors, doubts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evidence):
            return NotImplemented
        same = np.array_equal(self.tokens, other.tokens) and np.array_equal(self.errors, other.errors)
        return same and self.doubts == other.doubts

    __hash__ = None  # type: ignore[assignment]  # its arrays have none


def _between(grid: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last point of a grid before each value, and how far from it to the next one that is, as a share."""
    inside = np.minimum(np.maximum(values, grid[0]), grid[-1])
    low = np.minimum(grid.searchsorted(inside, side="right") - 1, len(grid) - 2)
    return low, (inside - grid[low]) / (grid[low + 1] - grid[low])
