"""What audits teach while a text is written: they steer its budget, and its learner where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from edge_client.promise.learning import Learner
from edge_client.target.verdict import Audit, Own, Verdict
from shared.config import Criterion
from shared.steering.budget import Budget

if TYPE_CHECKING:
    import numpy as np

# The doubt about a token, and what it was made of.
Drafted = tuple[float, Any]


class Gate(Protocol):
    """Up to where tokens are shown without asking.

    Attributes:
        threshold: ask where the doubt is above it.
    """

    threshold: float


class Corrector(Protocol):
    """What makes of a verifier's doubt the one that is used. Its `inputs` come back to whoever made them."""

    def correct(self, scalars: np.ndarray, doubt: float) -> tuple[float, Any]:
        """The doubt to use for the token that the verifier has just doubted, and what it was made of.

        Args:
            scalars: the first features of the token, ``float32 [SCALARS]``.
            doubt: the verifier's.
        """

    def again(self, inputs: Any, doubt: float) -> float:
        """The doubt to use by now for a token that was corrected before, and which the verifier doubted so."""


class Feedback:
    """Tells a budget and a learner of everything that the target says about one text.

    Args:
        criterion: what counts as an error.
        unlike: how unlike the calibrated text this one is worded by now.

    Attributes:
        budget: steered by it.
        learner: corrects the verifier, None if it stays as it was shipped.
        unlike: as given.
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
        self.unlike = unlike
        self.strictly: set[int] = set()
        self._own = 0
        self._waiting: dict[int, Drafted] = {}

    @property
    def gate(self) -> Gate:
        """By which tokens are shown; one object for the whole text."""
        return self.budget

    @property
    def corrector(self) -> Corrector | None:
        """What corrects the verifier's doubts; None where nothing does."""
        return self.learner

    def doubted(self, position: int, doubt: float, inputs: Any = None) -> None:
        """A token was drafted for `position`, in the place of any earlier one.

        Args:
            inputs: what the corrector made the doubt of.
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
        drafted, errors = [], []
        for position, is_error in enumerate(labels, audit.position):
            if (found := self._waiting.pop(position, None)) is not None:
                drafted.append(found)
                errors.append(is_error)
        self.teach(off_target, len(audit) + self._own, drafted, errors)
        self._own = 0

    def finish(self) -> None:
        """The text is over: what the target wrote since the last audit counts, too."""
        if self._own:
            self.teach(0, self._own, (), ())
            self._own = 0

    def teach(self, off_target: int, shown: int, drafted: Sequence[Drafted], errors: Sequence[bool]) -> None:
        """Let an audit teach.

        Args:
            off_target: errors among the `shown` tokens, the target's own included.
            drafted: tokens that the target has said something of, asked ones too.
            errors: whether each was an error.
        """
        if self.learner is not None:
            for (_, inputs), is_error in zip(drafted, errors, strict=True):
                if inputs is not None:
                    self.learner.audited(inputs, is_error)
        self.budget.observe(off_target, shown, [doubt for doubt, _ in drafted], errors, self.unlike())
