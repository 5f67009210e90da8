"""The promise: how far the text may stray from the target's own, and the threshold that keeps it.

Adaptive conformal inference (Gibbs & Candès, arXiv 2106.00170) on the log-odds of the threshold: an off-target token
lowers it, every other token raises it a little, and the two balance exactly where the divergence rate equals the aim.
Steps shrink while the promise is kept (Angelopoulos, Barber, Bates, arXiv 2402.01139), because a restless threshold
asks more than a steady one for the same divergence; they are large again as soon as the budget is overspent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Aim a little below the budget: the rate of a run ends on either side of what it is steered to.
AIM = 0.95
# The first step: one off-target token halves the odds, about.
FIRST_STEP = 0.7
# Later steps are no smaller than this.
LEAST_STEP = 0.1
# Errors beyond the aim are saved again over so many tokens.
REPAY = 2000
# So many errors beyond the aim make the steps as large as the first.
ALARM = 10.0
# So many errors below the aim count as credit at most, and so many beyond it as debt: neither a good past nor a bad one
# may outlast what it says about the present. More than one window can bring at once, though: what is forgiven of one
# such burst after the other was never kept.
CREDIT = 8.0
MOST_DEBT = 300.0
# Where a table says "never ask" or "ask about everything", a budget begins at one of these: from beyond, where hardly
# any doubt is found, the way back is long.
HIGHEST_START = 0.9
LOWEST_START = 0.001
# A threshold may rise to this as it sees that nothing goes wrong ...
HIGHEST = 0.99
# ... and fall below any doubt, for the promise must hold even with a verifier that is sure of everything. Here, in
# log-odds, every token is asked, one of no doubt at all too; then there are no more errors, so it does not fall on.
LOWEST = -14.0


@dataclass(frozen=True)
class Steering:
    """What a budget has learned, enough to go on later.

    Attributes:
        log_odds: of the threshold, `LOWEST` to the log-odds of `HIGHEST`.
        tokens: shown tokens that it has been told of.
        debt: errors beyond the aim that are not made good yet; below 0, credit.
    """

    log_odds: float
    tokens: int = 0
    debt: float = 0.0

    def moved(self, begin: Steering, end: Steering) -> Steering:
        """Where it stands after it has been moved as from `begin` to `end`; `Budget.resume` keeps it within bounds."""
        return Steering(
            self.log_odds + (end.log_odds - begin.log_odds),
            self.tokens + (end.tokens - begin.tokens),
            self.debt + (end.debt - begin.debt),
        )


class Budget:
    """The threshold on the verifier's doubt, steered towards a divergence rate of `limit`.

    One budget may serve many texts, one after the other: the more it is told of, the closer the promise is kept.

    Attributes:
        limit: largest divergence rate, off-target tokens per token shown.
        threshold: ask where the doubt is above it; below 0 where every token is to be asked.
    """

    def __init__(self, limit: float, threshold: float) -> None:
        self.limit = limit
        self._tokens, self._debt = 0, 0.0
        self._move_to(_log_odds(min(max(threshold, LOWEST_START), HIGHEST_START)))

    @classmethod
    def resume(cls, limit: float, steering: Steering) -> Budget:
        """Go on from what an earlier budget of the same limit had learned; nothing takes it beyond its bounds."""
        budget = cls(limit, LOWEST_START)
        budget._tokens, budget._debt = max(steering.tokens, 0), min(max(steering.debt, -CREDIT), MOST_DEBT)
        budget._move_to(steering.log_odds)
        return budget

    @property
    def steering(self) -> Steering:
        """What has been learned so far."""
        return Steering(self._odds, self._tokens, self._debt)

    @property
    def overspent(self) -> bool:
        """Whether there were clearly more errors than promised, and more is asked until they are made good."""
        return self._debt >= ALARM

    def observe(self, off_target: int, shown: int) -> None:
        """Learn that of `shown` tokens (the target's own included) `off_target` were errors."""
        aim = AIM * self.limit
        self._tokens += shown
        self._debt = min(max(self._debt + off_target - aim * shown, -CREDIT), MOST_DEBT)
        debt = max(self._debt, 0.0)
        step = max(
            LEAST_STEP,
            FIRST_STEP / math.sqrt(1 + self.limit * self._tokens / 2),
            FIRST_STEP * min(debt / ALARM, 1.0),
        )
        if self._odds <= LOWEST and debt > 0:
            return  # there is nothing between asking about all and what made the debt: repay it first
        aim = max(aim - debt / REPAY, self.limit / 2)
        self._move_to(self._odds + step * (aim * shown - off_target))

    def _move_to(self, log_odds: float) -> None:
        self._odds = min(max(log_odds, LOWEST), _HIGHEST_LOG_ODDS)
        self.threshold = 1.0 / (1.0 + math.exp(-self._odds)) if self._odds > LOWEST else -1.0


def _log_odds(threshold: float) -> float:
    threshold = min(max(threshold, 1e-6), 1 - 1e-6)
    return math.log(threshold / (1 - threshold))


_HIGHEST_LOG_ODDS = _log_odds(HIGHEST)
