"""What audits teach while a text is written: they steer its budget, and its learner where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edge_client.promise.learning import Learner
from edge_client.target.verdict import Audit, Own, Verdict
from shared.config import Criterion
from shared.steering.budget import Budget

if TYPE_CHECKING:
    import numpy as np


class Feedback:
    """Tells a budget and a learner of everything that the target says about one text.

    Args:
        criterion: what counts as an error.
        unlike: how unlike the calibrated text this one is worded by now.

    Attributes:
        budget: steered by it.
        learner: corrects the verifier, None if it stays as it was shipped.
        strictly: positions of the text at which `strict` counts, whatever the criterion; filled by who drafts.
    """

    def __init__(
        self,
        criterion: Criterion,
        budget: Budget,
        learner: Learner | None = None,
        unlike: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._criterion = criterion
        self.budget = budget
        self.learner = learner
        self._unlike = unlike
        self.strictly: set[int] = set()
        self._own = 0
        self._waiting: dict[int, tuple[float, np.ndarray | None]] = {}

    def doubted(self, position: int, doubt: float, inputs: np.ndarray | None = None) -> None:
        """A token was drafted for `position`, in the place of any earlier one.

        Args:
            inputs: what the learner made the doubt of.
        """
        self._waiting[position] = doubt, inputs
        self.budget.doubted(doubt)

    def wrote(self, position: int, own: Own) -> None:
        """The target wrote the token at `position` itself: no error, and the budget is told with the next audit."""
        self._own += 1

    def judged(self, verdict: Verdict, run: int, asked: int) -> None:
        """One call came back: `run` tokens had been accepted since the last one, and `asked` were asked."""
        self.audited(verdict.audit, verdict.stands, verdict.fallen.off(self._criterion, self.strictly))

    def audited(self, audit: Audit, confirmed: int = 0, fallen: Sequence[bool] = ()) -> None:
        """The target's opinion of tokens shown earlier; the last `confirmed` of them it has just confirmed.

        Args:
            fallen: whether the asked token after them would have been an error, if there was one that fell.
        """
        labels = audit.off(self._criterion, self.strictly)
        off_target = sum(labels[: len(audit) - confirmed])
        labels += fallen
        doubts, errors = [], []
        for position, is_error in enumerate(labels, audit.position):
            if (drafted := self._waiting.pop(position, None)) is not None:
                doubt, inputs = drafted
                if self.learner is not None and inputs is not None:
                    self.learner.audited(inputs, is_error)
                doubts.append(doubt)
                errors.append(is_error)
        self.budget.observe(off_target, len(audit) + self._own, doubts, errors, self._unlike())
        self._own = 0

    def finish(self) -> None:
        """The text is over: what the target wrote since the last audit counts, too."""
        if self._own:
            self.budget.observe(0, self._own, unlike=self._unlike())
            self._own = 0
