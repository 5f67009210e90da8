"""The account of a promise: what was allowed, what the audits found, and so what may be allowed next.

In the long run errors balance what was promised: those beyond it are saved again over the next tokens. In the short run
there is a bound that nothing passes: once the last thousand audited tokens hold `most` errors, every token is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Aim a little below the budget: the rate of a run ends on either side of what it is steered to.
AIM = 0.95
# Errors beyond the aim are saved again over about so many tokens, and credit is spent over as many.
HORIZON = 1000
# Of what is aimed at, so much is allowed at least and at most.
LEAST_SHARE = 0.3
MOST_SHARE = 1.4
# Credit and debt count up to so many horizons of the aim: neither a good past nor a bad one may outlast what it says
# about the present. No debt below `SMALLEST_MOST_DEBT` is forgiven, for small budgets allow little.
MOST_CREDIT = 0.4
MOST_DEBT = 5.0
SMALLEST_MOST_DEBT = 100.0
# The short run.
RECENT = 1000
# Audits are kept by blocks of so many tokens or more.
_BLOCK = 25


@dataclass(frozen=True)
class Account:
    """What is known of a promise, or what one text adds to it.

    Attributes:
        debt: errors beyond the aim that are not made good yet; below 0, credit.
        recent: of the last audited tokens, oldest first, blocks of (tokens, errors).
        tokens: audited in all.
    """

    debt: float = 0.0
    recent: tuple[tuple[int, int], ...] = ()
    tokens: int = 0

    def then(self, later: Account, limit: float) -> Account:
        """With what a text has added."""
        return Account(
            _bounded(self.debt + later.debt, limit), _last(self.recent + later.recent), self.tokens + later.tokens
        )


def most(limit: float) -> float:
    """Errors among the last `RECENT` audited tokens at which every token is asked."""
    return 1.5 * limit * RECENT + 4


class Ledger:
    """The account while one text is written.

    Args:
        limit: the budget, errors per token shown.
        known: from earlier texts.
    """

    def __init__(self, limit: float, known: Account) -> None:
        self._limit, self._known, self.taught = limit, known, Account()
        self._settle()

    @property
    def account(self) -> Account:
        """As it stands now."""
        return self._known.then(self.taught, self._limit)

    def enter(self, errors: int, shown: int) -> None:
        """Of `shown` more tokens (the target's own included) `errors` were off-target."""
        taught = self.taught
        debt = _bounded(self._known.debt + taught.debt + errors - AIM * self._limit * shown, self._limit)
        recent = _last((*taught.recent, (shown, errors)))
        self.taught = Account(debt - self._known.debt, recent, taught.tokens + shown)
        self._settle()

    def _settle(self) -> None:
        """What may be allowed now, errors a token; 0 where every token is to be asked."""
        account = self.account
        self.overspent = sum(errors for _, errors in account.recent) >= most(self._limit)
        aim = AIM * self._limit
        if self.overspent or not aim:
            self.allowed = 0.0
            return
        share = 1.0 - account.debt / (aim * HORIZON)
        self.allowed = aim * min(max(share, LEAST_SHARE), MOST_SHARE)


def _bounded(debt: float, limit: float) -> float:
    horizon = AIM * limit * HORIZON
    return min(max(debt, -MOST_CREDIT * horizon), max(MOST_DEBT * horizon, SMALLEST_MOST_DEBT))


def _last(blocks: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The blocks that hold the last `RECENT` tokens, small ones joined."""
    joined: list[tuple[int, int]] = []
    for tokens, errors in blocks:
        if joined and joined[-1][0] < _BLOCK:
            before = joined.pop()
            tokens, errors = before[0] + tokens, before[1] + errors
        joined.append((tokens, errors))
    total, first = 0, len(joined)
    while first and total < RECENT:
        first -= 1
        total += joined[first][0]
    return tuple(joined[first:])
