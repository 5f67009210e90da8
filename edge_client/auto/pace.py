"""What a device has measured of itself, of its link and of its target: all that the forecasts of `auto` rest on."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from statistics import fmean, quantiles

from shared.config import Mode

# What is quicker counts as this, seconds: the wire tells no less.
RESOLUTION = 1e-6
# How much of an average the newest value is in the end, where values are means over many tokens.
NEWEST = 0.3
# What is assumed of a target that has not answered yet, and of a draft that has not run yet, seconds.
STEP, DRAFT = 0.010, 0.0003
# Of the probability that a token is the target's own, before anything is known.
AGREEMENT = 0.85
# How many asks' worth of trust an ask rate has that was not measured here, and at most one that was; and how many
# tokens' worth it has within one text. What is asked about comes in clusters, and texts differ more than chance would
# have it: a text says less of the others than of itself.
PRIOR_ASKS, MOST_ASKS, TEXT_TOKENS = 14.0, 140.0, 24.0
# Rarer asks are trusted as these are.
_RAREST = 0.005
# A forecast is as good as what was measured in so many round trips, long ones, and seconds: tokens come in bursts, and
# where the link stalls now and then, one stretch of text says little of the next.
_TRIPS, _SECONDS = 4.0, 0.1
# Kinds of text that are kept apart: whoever asks for a text may choose how it is sampled.
MOST_KINDS = 64
# Of a kind of text: what tells it from others.
Name = tuple[str | float, ...]


@dataclass
class Level:
    """An average that moves on with what is measured.

    Attributes:
        value: now.
        weight: of it, against the next value's.
    """

    value: float
    weight: float = 1.0

    def add(self, newest: float) -> None:
        """One more value."""
        self.value += (newest - self.value) / (self.weight + 1.0)
        self.weight = min(self.weight + 1.0, 1.0 / NEWEST - 1.0)


@dataclass
class Rate:
    """How often something happens among tokens, which counts less the longer ago it was.

    Attributes:
        share: of the tokens.
        tokens: that it rests on.
    """

    share: float
    tokens: float

    @classmethod
    def expected(cls, share: float) -> Rate:
        """What was not measured here."""
        return cls(share, PRIOR_ASKS / max(share, _RAREST))

    def add(self, happened: float, tokens: int) -> None:
        """Of so many more tokens."""
        kept = min(self.tokens, MOST_ASKS / max(self.share, _RAREST))
        self.share = (self.share * kept + happened) / (kept + tokens)
        self.tokens = kept + tokens


@dataclass
class Kind:
    """What was measured of texts of one kind: those of one promise, sampled in one way.

    Attributes:
        asks: the share of tokens that `sprint` asks about.
        spent: by mode, the time that was measured, and what was forecast for it; the older the less.
        looks: by mode, at how many stretches of text that was measured, the older the less.
        newest: by mode, how many times longer than forecast the newest stretch took.
    """

    asks: Rate
    spent: dict[Mode, tuple[float, float]] = field(default_factory=dict)
    looks: dict[Mode, float] = field(default_factory=dict)
    newest: dict[Mode, float] = field(default_factory=dict)


@dataclass
class Pace:
    """Times in seconds; None where nothing was measured. One for all texts to one target, whoever writes them.

    Attributes:
        told: what the target says that a pass over one token takes.
        guess: of the round trip, before any was measured.
        drafts: of the device for a drafted token, verified.
        steps: of the target for a pass, by the mode that it was for.
        kinds: of text, by their names, the one begun first at first.
    """

    told: float | None = None
    guess: float | None = None
    drafts: Level | None = None
    steps: dict[Mode, Level] = field(default_factory=dict)
    kinds: dict[Name, Kind] = field(default_factory=dict)
    _passes: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    _trips: deque[float] = field(default_factory=lambda: deque(maxlen=32))

    def kind(self, name: Name, ask_rate: float) -> Kind:
        """Of texts of this kind; of more than `MOST_KINDS`, the one begun first is forgotten.

        Args:
            ask_rate: to be expected where none was written yet.
        """
        if name not in self.kinds:
            while len(self.kinds) >= MOST_KINDS:
                self.kinds.pop(next(iter(self.kinds)), None)
            self.kinds[name] = Kind(Rate.expected(ask_rate))
        return self.kinds[name]

    def drafted(self, seconds: float, tokens: int) -> None:
        """So many tokens were drafted and verified in that time."""
        if tokens:
            newest = max(seconds / tokens, RESOLUTION)
            if self.drafts is None:
                self.drafts = Level(newest)
            else:
                self.drafts.add(newest)

    def passed(self, mode: Mode, seconds: Collection[float]) -> None:
        """The target took so long for each of some passes."""
        if seconds:
            least = [max(each, RESOLUTION) for each in seconds]
            if mode in self.steps:
                self.steps[mode].add(fmean(least))
            else:
                self.steps[mode] = Level(fmean(least))
            self._passes.extend(least)

    def travelled(self, seconds: float) -> None:
        """A question and its answer were on the way for so long, or longer, if the answer was not looked at at once."""
        self._trips.append(seconds)

    @property
    def draft(self) -> float:
        """Of the device for a drafted token."""
        return DRAFT if self.drafts is None else self.drafts.value

    @property
    def round_trip(self) -> float:
        """Of the link: the lower quartile, for the longer ones waited for something else."""
        trips = [*self._trips]
        return min(trips, default=self.guess or 0.0) if len(trips) < 4 else quantiles(trips, n=4)[0]

    @property
    def spread(self) -> float:
        """How much longer the upper quartile is."""
        trips = [*self._trips]
        if len(trips) < 4:
            return 0.0
        low, _, high = quantiles(trips, n=4)
        return high - low

    @property
    def trust(self) -> float:
        """How long a mode must have been measured, to be believed as much as its forecast."""
        return _TRIPS * (self.round_trip + self.spread) + _SECONDS

    def step(self, mode: Mode) -> float:
        """A pass for a mode. Where it was not tried: as for another one, but `cloud` as the shortest, for those are of
        one token."""
        if (known := self.steps.get(mode)) is not None:
            return known.value
        if mode is Mode.CLOUD and len(self._passes) >= 4:
            return quantiles(self._passes, n=10)[0]
        return min((level.value for level in self.steps.values()), default=self.told or STEP)
