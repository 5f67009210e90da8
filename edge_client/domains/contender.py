"""One of several verifiers of a text, and what audits have made of its doubts, as if it had written alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_client.inference.verifier import SeveralAtOnce
from edge_client.promise.feedback import Drafted, Feedback
from shared.features import SCALARS


class Seen:
    """A drafted token, kept so that any verifier can doubt it later.

    Attributes:
        row: its features, ``float32 [SCALARS + hidden]``.
        column: of `shared.calibration.DOUBT_COLUMNS` that doubts it.
        shipped: by verifier, its doubt.
        drafted: by verifier, the doubt that was used or would have been, and what its learner made that of.
    """

    __slots__ = ("column", "drafted", "row", "shipped")

    def __init__(self, row: np.ndarray, column: int) -> None:
        self.row = row
        self.column = column
        self.shipped: dict[str, float] = {}
        self.drafted: dict[str, Drafted] = {}


class Contender:
    """A verifier, its budget, and its learner where there is one.

    Args:
        name: of the verifier.
        head: doubts.
        feedback: its steering.

    Attributes:
        name, head, feedback: as given.
        tokens: drafted tokens of the text that it decided about.
    """

    def __init__(self, name: str, head: SeveralAtOnce, feedback: Feedback) -> None:
        self.name = name
        self.head = head
        self.feedback = feedback
        self.tokens = 0

    def take(self, seen: Seen, shipped: float) -> float:
        """Take note of a doubt of this verifier; returns the one to use."""
        learner = self.feedback.learner
        found: Drafted = (shipped, None)
        if learner is not None:
            found = learner.correct(seen.row[:SCALARS], shipped)
        seen.shipped[self.name] = shipped
        seen.drafted[self.name] = found
        return found[0]

    def look(self, several: Sequence[Seen], temperature: float) -> None:
        """Doubt those that this verifier has not doubted yet, in one run."""
        missing = [seen for seen in several if self.name not in seen.shipped]
        if missing:
            doubts = self.head.doubts(np.stack([seen.row for seen in missing]), temperature).tolist()
            for seen, row in zip(missing, doubts, strict=True):
                self.take(seen, row[seen.column])

    def again(self, seen: Seen) -> float:
        """The doubt to use by now."""
        doubt, inputs = seen.drafted[self.name]
        if self.feedback.learner is not None:
            doubt = self.feedback.learner.again(inputs, seen.shipped[self.name])
        return doubt

    def decide(self, seen: Seen, doubt: float) -> None:
        """The text has come to a token about which this verifier's doubt decided."""
        self.tokens += 1
        seen.drafted[self.name] = doubt, seen.drafted[self.name][1]

    def look_on(self, several: Sequence[Seen], temperature: float) -> None:
        """The text has come to tokens about which another verifier decided."""
        self.look(several, temperature)
        for seen in several:
            doubt = self.again(seen)
            seen.drafted[self.name] = doubt, seen.drafted[self.name][1]
            self.feedback.budget.doubted(doubt)

    def teach(self, off_target: int, shown: int, several: Sequence[Seen], errors: Sequence[bool]) -> float:
        """Let an audit teach, see `Feedback.teach`; returns what the verifier lost by it, nats."""
        drafted, steering = [seen.drafted[self.name] for seen in several], self.feedback
        lost = 0.0
        if drafted:
            lost = steering.budget.surprise([doubt for doubt, _ in drafted], errors, steering.unlike())
        steering.teach(off_target, shown, drafted, errors)
        return lost
