"""The account of a promise: what was allowed, what the audits found, and so what may be allowed next.

Every audited token pays in what is aimed at, and every error takes one out. What is overdrawn is a debt, which the
next tokens save again: the larger it is, the less is allowed, and at `most_debt` nothing is, so every token is asked.
What is left over is a credit, up to `most_credit`. So of any tokens in a row, whatever verifier, text and target are,
at most `most_errors` are off-target, and what one call finds; and the more they are, the nearer that is to the aim.
"""

from __future__ import annotations

from dataclasses import dataclass

# Aim a little below the budget: the rate of a run ends on either side of what it is steered to.
AIM = 0.95
# However much credit there is, no more than this share of what is aimed at may be spent at once.
MOST_SHARE = 1.4


@dataclass(frozen=True)
class Account:
    """What is known of a promise, or what one text adds to it.

    Attributes:
        debt: errors beyond the aim that are not made good yet; below 0, credit.
        tokens: audited in all.
    """

    debt: float = 0.0
    tokens: int = 0

    def then(self, later: Account, limit: float) -> Account:
        """With what a text has added under a budget of `limit`."""
        return Account(max(self.debt + later.debt, -most_credit(limit)), self.tokens + later.tokens)

    def overdrawn(self, limit: float) -> bool:
        """Whether so many errors were found that every token is asked, until the next ones have made good for them."""
        return self.debt >= most_debt(limit)


def most_credit(limit: float) -> float:
    """What a good past may lend to the present, errors: about what chance leaves, so that it is soon spent.

    A good past says little about the next kind of text.
    """
    return 100 * limit + 1.5


def most_debt(limit: float) -> float:
    """The debt from which on every token is asked, errors: more than chance often makes."""
    return 250 * limit + 3.5


def most_errors(limit: float, tokens: int = 1000) -> float:
    """The most errors among so many audited tokens in a row, but for what one call finds."""
    return AIM * limit * tokens + most_credit(limit) + most_debt(limit)


class Ledger:
    """The account while one text is written.

    Args:
        limit: the budget, errors per token shown.
        known: from earlier texts.

    Attributes:
        taught: what this text adds.
    """

    def __init__(self, limit: float, known: Account) -> None:
        self._limit, self._known, self.taught = limit, known, Account()

    @property
    def allowed(self) -> float:
        """Errors a token that may be expected of the next ones; 0 where every token is to be asked."""
        share = 1.0 - self._now.debt / most_debt(self._limit)
        return AIM * self._limit * min(max(share, 0.0), MOST_SHARE)

    @property
    def overdrawn(self) -> bool:
        """See `Account.overdrawn`."""
        return self._now.overdrawn(self._limit)

    def enter(self, errors: int, shown: int) -> None:
        """Of `shown` more tokens (the target's own included) `errors` were off-target."""
        found = Account(errors - AIM * self._limit * shown, shown)
        whole = self._known.then(self.taught, self._limit).then(found, self._limit)
        self.taught = Account(whole.debt - self._known.debt, self.taught.tokens + shown)

    @property
    def _now(self) -> Account:
        return Account(self._known.debt + self.taught.debt, self._known.tokens + self.taught.tokens)
