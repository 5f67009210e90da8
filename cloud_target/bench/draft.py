"""A draft that is only luck: which tokens it would get right, as a Markov chain.

Nothing is drafted here, because what a target has to do depends on where edges ask and on which tokens fall, not on
what they say. Agreement comes in runs; two numbers describe them: the share of easy tokens, which the draft gets right,
and how much likelier a hard token is after a hard one. `python -m benchmarks.agreement` measures both; of the embedded
pair, 0.91, 0.88 and 0.78 of the tokens were easy at temperature 0, 0.7 and 1, and the ratio was 1.6, 1.0 and 1.4.
"""

from __future__ import annotations

from random import Random

CLUSTERING = 1.3
# The share of asked tokens that stand: a verifier doubts as many good tokens as bad ones.
STANDS = 0.5


class Luck:
    """The chain of one edge."""

    def __init__(self, agreement: float, chance: Random) -> None:
        hard = 1.0 - agreement
        # With these two the share of hard tokens is `hard` in the long run.
        self._after_easy = hard / (1.0 - hard + CLUSTERING * hard)
        self._after_hard = CLUSTERING * self._after_easy
        self._chance = chance
        self._hard = chance.random() < hard

    def easy(self) -> bool:
        """Whether the draft gets the next token right."""
        self._hard = self._chance.random() < (self._after_hard if self._hard else self._after_easy)
        return not self._hard

    def run(self, most: int) -> int:
        """How many easy tokens come before the next hard one, at most `most`; `most` too where none comes."""
        return next((count for count in range(most) if not self.easy()), most)

    def stands(self) -> bool:
        """Whether a token that was asked about turns out to be the target's own."""
        return self._chance.random() < STANDS
