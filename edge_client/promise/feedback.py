"""What audits teach while a text is written: they steer its budget, and its learner where there is one."""

from __future__ import annotations

from edge_client.promise.budget import Budget
from edge_client.promise.learning import Learner
from edge_client.target.verdict import Audit, Own, Verdict
from shared.config import Criterion


class Feedback:
    """Tells a budget and a learner of everything that the target says about one text.

    Attributes:
        budget: steered by it.
        began: where the budget stood before.
        learner: corrects the verifier, None if it stays as it was shipped.
    """

    def __init__(self, criterion: Criterion, budget: Budget, learner: Learner | None = None) -> None:
        self._criterion = criterion
        self.budget = budget
        self.began = budget.steering
        self.learner = learner
        self._own = 0
        if learner is not None:
            learner.begin()

    def wrote(self, position: int, own: Own) -> None:
        """The target wrote the token at `position` itself: no error, and the budget is told with the next audit."""
        self._own += 1

    def judged(self, verdict: Verdict, run: int, asked: int) -> None:
        """One call came back: `run` tokens had been accepted since the last one, and `asked` were asked."""
        self.audited(verdict.audit, confirmed=verdict.stands)
        # Of a token that fell only this much is known: it is not the target's own.
        if self.learner is not None and verdict.stands < asked and self._criterion is Criterion.STRICT:
            self.learner.audited(verdict.audit.position + len(verdict.audit), True)

    def audited(self, audit: Audit, confirmed: int = 0) -> None:
        """The target's opinion of tokens shown earlier; the last `confirmed` of them it has just confirmed."""
        accepted = audit.off(self._criterion)[: len(audit) - confirmed]
        if self.learner is not None:
            # By `typical` little is known of a token that fell, so of the asked ones mostly harmless ones would be
            # seen: it learns from accepted tokens alone.
            labels = audit.off_strict if self._criterion is Criterion.STRICT else accepted
            for i, is_off in enumerate(labels):
                self.learner.audited(audit.position + i, is_off)
        self.budget.observe(sum(accepted), len(audit) + self._own)
        self._own = 0

    def finish(self) -> None:
        """The text is over: what the target wrote since the last audit counts, too."""
        if self._own:
            self.budget.observe(0, self._own)
            self._own = 0
