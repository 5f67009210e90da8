"""How much is measured: over which links, on how many prompts, and within which time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.report.figures import Place

LINKS = ("lan", "metro", "home", "mobile", "far", "satellite", "wifi")
# Where a token's time is looked at part by part, and the target's work.
TYPICAL_LINK = "home"
# Least time of a pass of the simulated target, milliseconds.
SIMULATED = 25.0
# Most of the time, as a share, that getting other people's systems ready and writing with them may take.
PEERS_SHARE = 0.125
# Every how manieth prompt baselines are written on: some are slow, and none of them is what the report is about.
BASELINES_EVERY = 3


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        prompts: texts of each mode in a place; baselines write every third.
        simulated: the same, with the simulated step, where texts take long.
        tokens: most tokens a text.
        minutes: that all may take; places are left with fewer texts where time runs out.
        links: over which.
        choices: texts that each choice for a baseline is made on.
        fitted: texts of the target that the paper's verifier is fitted on.
        beside_peers: texts of each system where other people's are tried, too.
    """

    prompts: int = 20
    simulated: int = 9
    tokens: int = 128
    minutes: float = 28.0
    links: Sequence[str] = LINKS
    choices: int = 8
    fitted: int = 60
    beside_peers: int = 6

    @property
    def typical_link(self) -> str:
        """The link that is looked at closely."""
        return TYPICAL_LINK if TYPICAL_LINK in self.links else self.links[0]

    def prompts_at(self, place: Place) -> int:
        """Texts of each mode."""
        return self.simulated if place.step_ms else self.prompts


# A look at whether everything works, and at directions.
QUICK = Plan(
    prompts=4,
    simulated=3,
    tokens=48,
    minutes=3.0,
    links=("lan", TYPICAL_LINK, "far"),
    choices=2,
    fitted=6,
    beside_peers=2,
)


@dataclass
class Allowance:
    """Time for all places, of which each gets its share.

    Attributes:
        until: when all is to be over, on the clock.
        weights: of the places that are left, in order.
        clock: seconds.
    """

    until: float
    weights: list[float]
    clock: Callable[[], float] = field(default=time.monotonic)

    @classmethod
    def over(cls, plan: Plan, places: Sequence[Place], until: float) -> Allowance:
        """About in proportion to what places take: for each text passes, and a few round trips."""
        texts = [max(place.step_ms, 5.0) + 0.15 * place.round_trip_ms for place in places]
        return cls(until, [plan.prompts_at(place) * text for place, text in zip(places, texts, strict=True)])

    def next(self) -> float:
        """When the next place is to be left."""
        share = self.weights[0] / sum(self.weights)
        del self.weights[0]
        now = self.clock()
        return now + share * max(self.until - now, 0.0)
