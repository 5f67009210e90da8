"""The promise: how far the text may stray from the target's own, and the threshold that keeps it.

The first threshold comes from the bundle's calibration table. From then on audits steer it, by adaptive conformal
inference (Gibbs & Candès 2021): an off-target token lowers it, every other token raises it a little, and the two
balance exactly where the divergence rate equals the budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from shared.bundle import Calibration
from shared.config import Criterion, Sampling

# In log-odds of the threshold: one off-target token halves the odds, about; so 1/budget good ones undo it.
STEP = 0.7
# The threshold may rise above its first value by this much in log-odds, whatever the audits say, and not above the
# highest at all: hardly any doubt is found there (a table may say "never ask"), and it would take many errors to come
# back from beyond to where it matters.
REACH = 4.0
HIGHEST = 0.9
# It may fall below any doubt, for the promise must hold even with a verifier that is sure of everything; where every
# token is asked there are no more errors, so it does not fall on. From here on, in log-odds, it is 0.
LOWEST = -30.0


class Budget:
    """The threshold on the verifier's doubt, steered towards a divergence rate of `limit`.

    Attributes:
        limit: largest divergence rate, off-target tokens per token shown.
        threshold: ask where the doubt is above it.
    """

    def __init__(self, limit: float, threshold: float) -> None:
        self.limit = limit
        self.threshold = min(threshold, HIGHEST)
        self._log_odds = _logit(self.threshold)
        self._limit_above = min(self._log_odds + REACH, _logit(HIGHEST))

    def observe(self, off_target: int, shown: int) -> None:
        """Learn that of `shown` tokens (the target's own included) `off_target` were errors."""
        moved = self._log_odds + STEP * (self.limit * shown - off_target)
        self._log_odds = min(max(moved, LOWEST), self._limit_above)
        self.threshold = 1.0 / (1.0 + math.exp(-self._log_odds)) if self._log_odds > LOWEST else 0.0


def first_threshold(
    table: Sequence[Calibration], criterion: Criterion, sampling: Sampling, limit: float, strictest: bool = False
) -> float:
    """The calibrated threshold for a budget: from the nearest sampling range, interpolated between budgets.

    Args:
        table: the bundle's; empty if its verifier was never calibrated, and then the doubt is taken at its word.
        limit: the budget.
        strictest: take the smallest calibrated threshold (the verifier was trained for another target).
    """
    cells = [cell for cell in table if cell.criterion == criterion]
    if not cells:
        return min(max(limit, 1e-4), 0.5)

    def distance(cell: Calibration) -> tuple[float, float]:
        # Of two ranges as near as each other, the stricter.
        return abs(cell.temperature - sampling.temperature) + abs(cell.top_p - sampling.top_p), cell.threshold

    nearest = min(cells, key=distance)
    cells = [cell for cell in cells if (cell.temperature, cell.top_p) == (nearest.temperature, nearest.top_p)]
    cells.sort(key=lambda cell: cell.budget)
    if strictest or limit <= cells[0].budget:
        return cells[0].threshold
    for low, high in pairwise(cells):
        if limit <= high.budget:
            share = math.log(limit / low.budget) / math.log(high.budget / low.budget)
            mean = (1 - share) * _logit(low.threshold) + share * _logit(high.threshold)
            return 1.0 / (1.0 + math.exp(-mean))
    return cells[-1].threshold


def _logit(threshold: float) -> float:
    threshold = min(max(threshold, 1e-6), 1 - 1e-6)
    return math.log(threshold / (1 - threshold))
