"""The promise: how far the text may stray from the target's own, and the threshold on the doubt that keeps it.

One question each: what is a doubt worth in calibrated text (`usual.py`), and here (`recalibration.py`), how many errors
may be expected of the next tokens (`ledger.py`), and so up to which doubt may they be shown (`allowance.py`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.steering.allowance import highest
from shared.steering.evidence import Evidence
from shared.steering.ledger import Account, Ledger
from shared.steering.recalibration import CALIBRATED, Prior, Recalibration
from shared.steering.usual import Usual

# The text at hand is judged by so many of its last drafted tokens.
RECENT_DOUBTS = 192
# Doubts nearer to 0 or 1 than this are all the same.
CERTAIN = 1e-6
# Verifiers are compared by what they said of tokens; by none do they lose or win more log-odds than this.
MOST_SURE = 6.0


@dataclass(frozen=True)
class Steering:
    """What a budget has learned, enough to go on later; what several texts have taught adds up.

    Attributes:
        evidence: what audits said about doubts.
        account: what was allowed, and what they found.
    """

    evidence: Evidence = field(default_factory=Evidence)
    account: Account = field(default_factory=Account)

    def then(self, later: Steering, limit: float) -> Steering:
        """With what one more text under a budget of `limit` has taught."""
        return Steering(self.evidence.then(later.evidence), self.account.then(later.account, limit))


class Budget:
    """The threshold on the verifier's doubt in one text, steered so that `limit` is kept over all texts.

    Args:
        limit: largest divergence rate, off-target tokens per token shown.
        usual: the doubts of calibrated text, by which the first tokens are judged, and what they are worth there;
            without any, doubts are honest, and one as large as the budget is the usual one.
        prior: of the recalibration.
        known: what earlier texts have taught.
        unlike: how unlike the calibrated text this one is worded, bytes a token; 0 where it is not.

    Attributes:
        threshold: ask where the doubt is above it; below 0 where every token is to be asked.
    """

    def __init__(
        self,
        limit: float,
        usual: Usual | None = None,
        prior: Prior = CALIBRATED,
        known: Steering | None = None,
        unlike: float = 0.0,
    ) -> None:
        known = known or Steering()
        self.limit = limit
        self._recalibration = Recalibration(prior, known.evidence)
        self._ledger = Ledger(limit, known.account)
        self._usual = usual or Usual(log_odds([limit]))
        self._recent = deque(np.clip(self._usual.doubts, _SUREST, -_SUREST).tolist(), RECENT_DOUBTS)
        self._unlike = unlike
        self._settle()

    @property
    def taught(self) -> Steering:
        """What this text has taught so far."""
        return Steering(self._recalibration.taught, self._ledger.taught)

    @property
    def overdrawn(self) -> bool:
        """See `Account.overdrawn`."""
        return self._ledger.overdrawn

    def doubted(self, doubt: float) -> None:
        """A token was drafted with this doubt about it."""
        bounded = min(max(doubt, CERTAIN), 1 - CERTAIN)
        self._recent.append(math.log(bounded / (1 - bounded)))

    def surprise(self, doubts: Sequence[float], errors: Sequence[bool], unlike: float = 0.0) -> float:
        """By what doubts are believed to be worth up to now, the negative log-likelihood of what became of them, nats.

        Args:
            doubts, errors, unlike: as `observe` may be told of them next.
        """
        found = self._recalibration
        worth = found.slope * self._usual.error(log_odds(doubts)) + found.offset(unlike)
        bounded = np.clip(worth, -MOST_SURE, MOST_SURE)
        return float(np.logaddexp(0.0, np.where(errors, -bounded, bounded)).sum())

    def observe(
        self,
        off_target: int,
        shown: int,
        doubts: Sequence[float] = (),
        errors: Sequence[bool] = (),
        unlike: float = 0.0,
    ) -> None:
        """Learn from an audit.

        Args:
            off_target: errors among the `shown` tokens, the target's own included.
            doubts, errors: what the target said of drafted tokens, asked ones too: whether each was an error.
            unlike: as above, by now.
        """
        self._unlike = unlike
        if doubts:
            self._recalibration.learn(self._usual.error(log_odds(doubts)), np.array(errors, bool), unlike)
        self._ledger.enter(off_target, shown)
        self._settle()

    def _settle(self) -> None:
        recalibration, allowed = self._recalibration, self._ledger.allowed
        limit = -math.inf
        if allowed:
            offset = recalibration.offset(self._unlike)
            errors = self._usual.error(np.array(self._recent))
            limit = self._usual.doubt(highest(errors, recalibration.slope, offset, allowed))
        if limit < _SUREST:
            self.threshold = -1.0  # not even what is not doubted at all
        else:
            self.threshold = 1.0 if limit > -_SUREST else 1.0 / (1.0 + math.exp(-limit))


def log_odds(doubts: Collection[float]) -> np.ndarray:
    """Of doubts from 0 to 1, finite, ``float64 [n]``."""
    bounded = np.minimum(np.maximum(np.fromiter(doubts, float, len(doubts)), CERTAIN), 1 - CERTAIN)
    found: np.ndarray = np.log(bounded / (1 - bounded))
    return found


_SUREST = float(log_odds([0.0])[0])
