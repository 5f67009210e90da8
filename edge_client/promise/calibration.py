"""The calibrated threshold for a budget: where `Budget` begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from shared.config import Criterion, Sampling
from shared.manifest import Calibration


def first_threshold(
    table: Sequence[Calibration], criterion: Criterion, sampling: Sampling, limit: float, strictest: bool = False
) -> float:
    """From the calibrated ways of sampling around `sampling`, the stricter threshold; interpolated between budgets.

    Args:
        table: the bundle's; empty if its verifier was never calibrated, and then the doubt is taken at its word.
        limit: the budget.
        strictest: begin no higher than any of its thresholds (it was measured with another target or draft).
    """
    cells = [cell for cell in table if cell.criterion == criterion]
    at_its_word = min(max(limit, 1e-4), 0.5)
    if not cells:
        return at_its_word
    if strictest:
        return min(at_its_word, *(cell.threshold for cell in cells))
    ways = {(cell.temperature, cell.top_p) for cell in cells}
    around = {nearest(ways, sampling)}
    # A temperature between two calibrated ones is promised what holds for both.
    for side in (-1, 1):
        beyond = {way for way in ways if side * (way[0] - sampling.temperature) >= 0}
        if beyond:
            around.add(nearest(beyond, sampling))
    return min(
        _between([cell for cell in cells if (cell.temperature, cell.top_p) == way], limit, at_its_word)
        for way in around
    )


def nearest(ways: set[tuple[float, float]], sampling: Sampling) -> tuple[float, float]:
    """Of some pairs of temperature and top-p, that which is most like `sampling`."""
    return min(ways, key=lambda way: (abs(way[0] - sampling.temperature) + abs(way[1] - sampling.top_p), way))


def _between(cells: list[Calibration], limit: float, at_its_word: float) -> float:
    """The threshold of one way of sampling for any budget; on the log-odds scale, as budgets are on theirs."""
    cells = sorted(cells, key=lambda cell: cell.budget)
    if limit <= cells[0].budget:
        # A table says nothing about budgets below its own, unless its bound happens to lie within them.
        holds = limit == cells[0].budget or cells[0].upper <= limit
        return cells[0].threshold if holds else min(cells[0].threshold, at_its_word)
    for low, high in pairwise(cells):
        if limit <= high.budget:
            share = math.log(limit / low.budget) / math.log(high.budget / low.budget)
            a, b = (min(max(cell.threshold, 1e-6), 1 - 1e-6) for cell in (low, high))
            log_odds = (1 - share) * math.log(a / (1 - a)) + share * math.log(b / (1 - b))
            return 1.0 / (1.0 + math.exp(-log_odds))
    return cells[-1].threshold
