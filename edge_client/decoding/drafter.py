"""Draft, draw and doubt: one proposal for the next token."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING

from shared.config import Criterion
from shared.criteria import doubt_columns
from shared.repetition import repeats
from shared.sampling import Draw, Sampler

if TYPE_CHECKING:
    from edge_client.inference.draft import Draft
    from edge_client.inference.verifier import Head
    from edge_client.promise.feedback import Feedback


@dataclass(slots=True)
class Proposal:
    """A drafted token x, how it was drawn, and the verifier's doubt (0 to 1; 0 where it was not asked)."""

    token: int
    draw: Draw
    doubt: float


class Drafter:
    """The draft with its sampler and verifier.

    Attributes:
        draft_ns, verifier_ns: where the time went, nanoseconds.
        steps: tokens proposed.
        entropy: of the draft over these steps, summed, nats.
    """

    def __init__(
        self,
        draft: Draft,
        sampler: Sampler,
        verifier: Head | None,
        criterion: Criterion,
        feedback: Feedback | None = None,
    ) -> None:
        self._draft = draft
        self._sampler = sampler
        self._verifier = verifier
        self._columns = doubt_columns(criterion)
        self._feedback = feedback
        self._learner = feedback.learner if feedback else None
        self._temperature = sampler.sampling.temperature
        self.draft_ns = self.verifier_ns = self.steps = 0
        self.entropy = 0.0

    def propose(self, sequence: list[int]) -> Proposal:
        """The draft's token for the position after `sequence`; only what is new in it is read."""
        begin = perf_counter_ns()
        draft = self._draft
        step = draft.feed(sequence[draft.length :])
        draw = self._sampler.draw(step.ids, step.logits, len(sequence), step.log_normaliser)
        drafted = perf_counter_ns()
        doubt = 0.0
        if self._verifier is not None:
            column = self._columns[repeats(sequence, draw.token)]
            doubt = self._verifier.doubt(step, draw, self._temperature, column)
            if self._learner is not None:
                doubt = self._learner.correct(len(sequence), self._verifier.scalars, doubt)
            if self._feedback is not None:
                self._feedback.doubted(len(sequence), doubt)
            self.verifier_ns += perf_counter_ns() - drafted
        self.draft_ns += drafted - begin
        self.steps += 1
        self.entropy += step.entropy
        return Proposal(draw.token, draw, doubt)

    def rewind(self, length: int) -> None:
        """Forget what was read of the sequence from position `length` on."""
        if length < self._draft.length:
            self._draft.rewind(length)
