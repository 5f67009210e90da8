"""Draft, draw and doubt: proposals for the next token, after the text and after nodes that may follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.config import Criterion
from shared.criteria import doubt_columns
from shared.repetition import repeats
from shared.sampling import Sampler

if TYPE_CHECKING:
    from edge_client.decoding.constraint import Constraint, Narrowed
    from edge_client.inference.draft import Draft, Leaf, Step
    from edge_client.inference.verifier import Head
    from edge_client.promise.feedback import Feedback
    from shared.draw import Draw


@dataclass(slots=True)
class Proposal:
    """A drafted token x, and what is thought of it.

    Attributes:
        token: x.
        rivals: the tokens that were nearly drawn, the nearest first; x among them where there are no others.
        doubt: the verifier's, 0 to 1; 0 where it was not asked.
        shipped: the same before it was corrected by what was learned.
        falls: how likely it is not the target's own token, 0 to 1.
        entropy: of the draft here, nats.
        inputs: what the doubt was corrected from, None where nothing corrects it.
        q: the draft's distribution (ids, probabilities), where it is kept.
        is_forced: a grammar allows no other token, so it is the target's own.
        is_blind: a grammar allows nothing that the draft thought of, or the doubt is no probability: whatever it is,
            the target must be asked.
        is_structure: a grammar leaves little choice here.
    """

    token: int
    rivals: tuple[int, int]
    doubt: float
    shipped: float
    falls: float
    entropy: float
    inputs: Any
    q: tuple[np.ndarray, np.ndarray] | None
    is_forced: bool = False
    is_blind: bool = False
    is_structure: bool = False

    @property
    def told(self) -> float | None:
        """The doubt for the text's reader; None where a grammar decided, and not the verifier."""
        return None if self.is_forced or self.is_blind else self.doubt


class Drafter:
    """The draft with its sampler and verifier.

    Args:
        keeps_q: whether proposals carry the draft's distribution.
        constraint: what the text must keep to; None where that is nothing.
        strictly: where the text's structure is kept, positions, if that counts by `strict`; None where it counts as all
            else.

    Attributes:
        draft_ns, verifier_ns: where the time went, nanoseconds.
        drafted: tokens proposed.
        steps: of them, those for the text as it came to be.
        entropy: of the draft over these steps, summed, nats.
    """

    def __init__(
        self,
        draft: Draft,
        sampler: Sampler,
        verifier: Head | None,
        criterion: Criterion,
        feedback: Feedback | None = None,
        keeps_q: bool = False,
        constraint: Constraint | None = None,
        strictly: set[int] | None = None,
    ) -> None:
        self._draft = draft
        self._sampler = sampler
        self._verifier = verifier
        self._columns = doubt_columns(criterion)
        self._feedback = feedback
        self._learner = feedback.corrector if feedback else None
        self._temperature = sampler.sampling.temperature
        self._keeps_q = keeps_q
        self._constraint = constraint
        self._strictly = strictly
        self.draft_ns = self.verifier_ns = self.drafted = self.steps = 0
        self.entropy = 0.0

    @property
    def branches(self) -> bool:
        """Whether several tokens can be read for the same position."""
        return self._draft.branches

    @property
    def room(self) -> int:
        """Nodes that can still be read."""
        return self._draft.context - self._draft.length - self._draft.nodes

    @property
    def context(self) -> int:
        """Longest text, tokens."""
        return self._draft.context

    def propose(self, sequence: list[int]) -> Proposal:
        """The draft's token for the position after `sequence`, of which only what is new is read, at least the last."""
        proposal = self._propose(self._read(sequence), sequence)
        self.reach(proposal, len(sequence))
        return proposal

    def guess(self, sequence: list[int]) -> int:
        """The same token, of which nobody is told."""
        step = self._read(sequence)
        self.drafted += 1
        begin = perf_counter_ns()
        is_free = True
        if self._constraint is not None:
            narrowed = self._constraint.narrow(step, sequence)
            step, is_free = narrowed.step, narrowed.is_free
        token = self._draw(step, step.logits[: len(step.ids)], len(sequence), is_free).token
        self.draft_ns += perf_counter_ns() - begin
        return token

    def grow(self, texts: Sequence[list[int]], leaves: Sequence[Leaf]) -> list[Proposal]:
        """The draft's tokens after nodes that it reads now.

        Args:
            texts: all ids up to each node.
            leaves: the nodes.
        """
        begin = perf_counter_ns()
        steps = self._draft.grow(leaves)
        self.draft_ns += perf_counter_ns() - begin
        return [self._propose(step, text) for step, text in zip(steps, texts, strict=True)]

    def reach(self, proposal: Proposal, position: int) -> None:
        """The text has come to where a proposal is for."""
        self.steps += 1
        self.entropy += proposal.entropy
        if self._strictly is not None:
            (self._strictly.add if proposal.is_structure else self._strictly.discard)(position)
        if self._feedback is not None and not (proposal.is_forced or proposal.is_blind):
            self._feedback.doubted(position, proposal.doubt, proposal.inputs)

    def correct(self, proposal: Proposal) -> None:
        """Let the doubt be what has been learned by now."""
        if self._learner is not None and proposal.inputs is not None:
            proposal.doubt = self._learner.again(proposal.inputs, proposal.shipped)

    def keep(self, path: Sequence[int], rest: Sequence[int]) -> None:
        """See `Draft.keep`."""
        if path or rest or self._draft.nodes:
            self._draft.keep(path, rest)

    def rewind(self, length: int) -> None:
        """Forget what was read of the sequence from position `length` on."""
        if length < self._draft.length:
            self._draft.rewind(length)

    def _read(self, sequence: list[int]) -> Step:
        begin = perf_counter_ns()
        self.rewind(len(sequence) - 1)
        step = self._draft.feed(sequence[self._draft.length :])
        self.draft_ns += perf_counter_ns() - begin
        return step

    def _propose(self, step: Step, sequence: list[int]) -> Proposal:
        if self._constraint is None:
            return self._drawn(step, step.logits, sequence)
        begin = perf_counter_ns()
        narrowed = self._constraint.narrow(step, sequence)
        self.draft_ns += perf_counter_ns() - begin
        if narrowed.is_forced or narrowed.is_blind:
            return self._made_up(narrowed, step.entropy)
        left, is_strict = narrowed.step, narrowed.is_structure and self._strictly is not None
        proposal = self._drawn(left, left.logits[: len(left.ids)], sequence, is_strict, narrowed.is_free)
        proposal.entropy, proposal.is_structure = step.entropy, narrowed.is_structure
        return proposal

    def _draw(self, step: Step, logits: np.ndarray, position: int, is_free: bool) -> Draw:
        """A draw from a step whose candidates have these logits, and from the whole vocabulary where it `is_free`."""
        # What is told of q has to be what was drawn from, and a whole vocabulary is too much to tell.
        every = step.every if is_free and not self._keeps_q else None
        return self._sampler.draw(step.ids, logits, position, step.log_normaliser, every)

    def _drawn(
        self, step: Step, logits: np.ndarray, sequence: list[int], is_strict: bool = False, is_free: bool = True
    ) -> Proposal:
        """A token drawn as `_draw` does, and the doubt about it, by `strict` whatever the criterion where it
        `is_strict`."""
        begin, position = perf_counter_ns(), len(sequence)
        draw = self._draw(step, logits, position, is_free)
        drafted = perf_counter_ns()
        doubt, shipped, falls, inputs, is_known = 0.0, 0.0, 0.0, None, True
        if self._verifier is not None:
            column = self._columns[is_strict or repeats(sequence, draw.token)]
            shipped, falls = self._verifier.doubt(step, draw, self._temperature, column)
            doubt = shipped
            if not 0.0 <= shipped <= 1.0:  # NaN too: graphs that fail at this text are not trusted
                doubt, shipped, falls, is_known = 1.0, 1.0, falls if 0.0 <= falls <= 1.0 else 1.0, False
            elif self._learner is not None:
                doubt, inputs = self._learner.correct(self._verifier.scalars, shipped)
            self.verifier_ns += perf_counter_ns() - drafted
        self.draft_ns += drafted - begin
        self.drafted += 1
        q = draw.distribution if self._keeps_q else None
        rivals = draw.rival, draw.third
        return Proposal(draw.token, rivals, doubt, shipped, falls, step.entropy, inputs, q, is_blind=not is_known)

    def _made_up(self, narrowed: Narrowed, entropy: float) -> Proposal:
        """What is proposed without the draft: the verifier has nothing to say of it, and learns nothing from it."""
        self.drafted += 1
        token, *rivals = narrowed.step.ids.tolist()
        first, second = (*rivals, token, token)[:2]
        doubt = 0.0 if narrowed.is_forced else 1.0
        # Chosen without regard to p, so the residual coupling may take it for certain.
        q = (np.array([token]), np.ones(1)) if self._keeps_q else None
        falls = 0.0 if narrowed.is_forced else 1.0 - 1.0 / (1 + len(rivals))
        return Proposal(
            token, (first, second), doubt, doubt, falls, entropy, None, q, narrowed.is_forced, narrowed.is_blind
        )
