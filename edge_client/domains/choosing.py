"""What audits teach where a bundle has several verifiers: also, which of them the text is written with.

The present one doubts each token. What it saw is kept, and when an answer of the target counts, each of the others
doubts all that was drafted since the last one, in one run. So every verifier has a budget of its own that knows all
that the target has said, in terms of its own doubts; what was allowed and spent is the same in all of them, for it is
the text's. To go over to another verifier is to go on with another one of these budgets, between two tokens.

All are judged by the same tokens, those that the draft proposed where the text came to be: the accepted ones, which
audits speak of, as well as the asked ones, which their verdicts do. Either alone would be a sample that the present
verifier has drawn. Answers count in the order of the text, so what is known at any moment is the text up to somewhere.
Only behind an asked token that stands the target writes one, and nobody is judged; all of them miss the same there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_client.domains.contender import Contender, Seen
from edge_client.inference.draft import Step
from edge_client.promise import standing
from edge_client.promise.feedback import Corrector, Drafted, Feedback, Gate
from shared.config import Criterion
from shared.draw import Draw


class Panel:
    """The verifiers of a text: to the drafter one that may change, which doubts, and gives what was kept as inputs.

    Args:
        contenders: by name, at least one.
        present: the name of the one that doubts.
        temperature: of the text.
    """

    def __init__(self, contenders: Mapping[str, Contender], present: str, temperature: float) -> None:
        self.contenders = contenders
        self.present = contenders[present]
        self.temperature = temperature
        self._column = 0

    @property
    def scalars(self) -> np.ndarray:
        """See `Head`."""
        return self.present.head.scalars

    def doubt(self, step: Step, draw: Draw, temperature: float, column: int) -> tuple[float, float]:
        """See `Head.doubt`."""
        self._column = column
        return self.present.head.doubt(step, draw, temperature, column)

    def correct(self, scalars: np.ndarray, doubt: float) -> tuple[float, Seen]:
        """See `Corrector.correct`."""
        seen = Seen(self.present.head.features.copy(), self._column)
        return self.present.take(seen, doubt), seen

    def again(self, inputs: Seen, doubt: float) -> float:
        """See `Corrector.again`; the text may have gone over to another verifier since."""
        self.present.look((inputs,), self.temperature)
        return self.present.again(inputs)


class Choosing(Feedback):
    """As `Feedback`, for several verifiers.

    Args:
        criterion: what counts as an error.
        panel: of the verifiers, with the one that begins.
        losses: how they stand, see `standing.first`.
        lost: is told what each loses in this text, nats.

    Attributes:
        budget: the present verifier's.
        threshold: its.
        losses: how they stand now.
    """

    def __init__(self, criterion: Criterion, panel: Panel, losses: Mapping[str, float], lost: dict[str, float]) -> None:
        super().__init__(criterion, panel.present.feedback.budget)
        self.panel = panel
        self.losses = losses
        self._lost = lost
        self.threshold = self.budget.threshold
        self._fresh: list[Seen] = []

    @property
    def gate(self) -> Gate:
        """See `Feedback.gate`."""
        return self

    @property
    def corrector(self) -> Corrector | None:
        """See `Feedback.corrector`."""
        return self.panel

    def doubted(self, position: int, doubt: float, inputs: Any = None) -> None:
        """See `Feedback.doubted`."""
        super().doubted(position, doubt, inputs)
        self.panel.present.decide(inputs, doubt)
        self._fresh.append(inputs)

    def teach(self, off_target: int, shown: int, drafted: Sequence[Drafted], errors: Sequence[bool]) -> None:
        """See `Feedback.teach`."""
        self._look()
        several = [inputs for _, inputs in drafted]
        contenders = self.panel.contenders
        lost = {name: one.teach(off_target, shown, several, errors) for name, one in contenders.items()}
        self._lost |= {name: self._lost.get(name, 0.0) + nats for name, nats in lost.items()}
        self.losses = standing.later(self.losses, lost)
        self.panel.present = contenders[standing.leader(self.losses, self.panel.present.name)]
        self.budget = self.panel.present.feedback.budget
        self.threshold = self.budget.threshold

    def _look(self) -> None:
        """Let those that do not write see what was drafted since they last did."""
        for one in self.panel.contenders.values():
            if one is not self.panel.present:
                one.look_on(self._fresh, self.panel.temperature)
        self._fresh.clear()
