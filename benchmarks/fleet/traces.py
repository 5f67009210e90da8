"""What a text asks of its target, pass by pass and call by call, as it was recorded: for devices that do the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pass:
    """A forward pass of the target for one text.

    Attributes:
        gap: seconds from the end of the text's pass before, or from its beginning, until it was asked for: what the
            device and the link take.
        needed: tokens that it read and that were no guesses.
        guesses: tokens that it read as well, in case they are right.
        hits: which of these were, counted from 1; so many tokens more are settled.
        shown: tokens that the user had seen when it began.
        steps: of a draft beside the target, one after the other, before it.
    """

    gap: float
    needed: int
    guesses: int = 0
    hits: tuple[int, ...] = ()
    shown: int = 0
    steps: int = 0

    def within(self, room: int) -> tuple[Pass, Pass | None]:
        """The pass with the first `room` of its guesses, and another one for what it then leaves unsettled, if any."""
        if room >= self.guesses:
            return self, None
        kept = tuple(hit for hit in self.hits if hit <= room)
        lost = self.hits[len(kept) :]
        here = Pass(self.gap, self.needed, room, kept, self.shown, self.steps)
        if not lost:
            return here, None
        # The target writes the first of them by itself; those that follow it are guesses again.
        first, *others = lost
        again = Pass(0.0, 1, self.guesses - first, tuple(hit - first for hit in others), self.shown + len(kept) + 1)
        return here, again


@dataclass(frozen=True)
class Call:
    """A question that was answered with a verdict.

    Attributes:
        prompt: tokens of it that were only to be read.
        shown: tokens after those that were on the screen already.
        judged: tokens after those that were asked about.
        stands: how many of these stood.
        writes: whether the target added a token of its own.
    """

    prompt: int
    shown: int
    judged: int
    stands: int
    writes: bool

    @property
    def settled(self) -> int:
        """Tokens that a text is longer by, prompt not counted."""
        return self.shown + self.stands + self.writes


@dataclass(frozen=True)
class Trace:
    """A text.

    Attributes:
        prompt: tokens before it.
        tokens: written.
        passes: of the target, in order.
        calls: that the edge made.
        right: of each token whether the draft would have written the same; empty where nobody has looked.
    """

    prompt: int
    tokens: int
    passes: Sequence[Pass]
    calls: Sequence[Call] = ()
    right: Sequence[bool] = ()


def streamed(trace: Trace) -> Trace:
    """The same text as the target streams it alone: its prompt in the first pass, and one token a pass."""
    first = Pass(trace.passes[0].gap, trace.prompt)
    return Trace(trace.prompt, trace.tokens, [first, *(Pass(0.0, 1, shown=at) for at in range(1, trace.tokens))])


def speculated(trace: Trace, window: int) -> Trace:
    """The same text by a target that has a draft beside it, which guesses `window` tokens before each pass."""
    passes, at = [], 0
    while at < trace.tokens:
        run = 0
        while run < window and at + run < trace.tokens and trace.right[at + run]:
            run += 1
        needed, gap = (1, 0.0) if at else (trace.prompt, trace.passes[0].gap)
        passes.append(Pass(gap, needed, window, tuple(range(1, run + 1)), at, window))
        at += run + 1
    return Trace(trace.prompt, trace.tokens, passes)
