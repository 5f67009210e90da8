"""What each mode gives on links of every length: the forecasts of mode `auto`, held to texts that were written here.

The one model of time is that of `edge_client/auto/forecast.py`. On each link over which texts were written it is
corrected by what they took, as `auto` does it; between two such links the corrected forecasts of both are mixed. The
plain stream is the same on every link but for its first token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from edge_client.auto.chooser import Chooser
from edge_client.auto.pace import Pace
from edge_client.doctor.trial import Sample
from edge_client.settings import Prefer
from edge_client.usage.amount import Amount
from edge_client.usage.prices import Prices
from shared.config import Mode

# Round trips that everybody is told about, seconds.
ROUND_TRIPS = (0.0, 0.010, 0.025, 0.050, 0.100, 0.200)
# A text is so long.
TOKENS = 128


@dataclass(frozen=True)
class Cell:
    """One mode on one link.

    Attributes:
        rate: tokens a second, of a text of `TOKENS` tokens, its first one's wait included.
        gain: of that against the plain stream's on the same link.
        calls: of the target for a token.
        money: for 1,000 tokens, without what reading prompts costs; None where there are no prices.
    """

    rate: float
    gain: float
    calls: float
    money: float | None


@dataclass(frozen=True)
class Expectation:
    """What is expected of a text that nobody has written yet.

    Attributes:
        window: of `sprint`.
        ask_rate: of it.
        agreement: share of drafted tokens that are the target's own; None where nobody knows.
        step: what the target says that a pass takes, seconds; None where it does not.
    """

    window: int
    ask_rate: float
    agreement: float | None
    step: float | None


class Foretold:
    """What is foretold of one pair.

    Args:
        samples: texts, of them at least one of the plain stream.
        expectation: of texts before any was written.
    """

    def __init__(self, samples: Sequence[Sample], expectation: Expectation) -> None:
        self._samples = samples
        self.modes = tuple(mode for mode in (Mode.SPRINT, Mode.EXACT, Mode.CLOUD) if self._of(mode))
        self._choosers = {
            trip: _chooser([one for one in samples if one.round_trip == trip], trip, self.modes, expectation)
            for trip in sorted({one.round_trip for one in samples})
        }

    @property
    def ask_rate(self) -> float:
        """Of `sprint`, as it is expected after these texts."""
        return next(iter(self._choosers.values())).conditions.ask_rate

    def cells(self, mode: Mode, round_trips: Sequence[float], prices: Prices | None = None) -> list[Cell]:
        """One mode on links of these lengths, seconds, in any order."""
        by_length = sorted(set(round_trips))
        seconds = dict(zip(by_length, never_falling([self.seconds(mode, trip) for trip in by_length]), strict=True))
        return [self._cell(mode, trip, seconds[trip], prices) for trip in round_trips]

    def seconds(self, mode: Mode, round_trip: float) -> float:
        """What a token takes, once the first one is there."""
        trips = [trip for trip in self._choosers if any(one.round_trip == trip for one in self._of(mode))]
        forecasts = [self._choosers[trip].forecast(mode, round_trip).seconds for trip in trips]
        return float(np.exp(np.interp(round_trip, trips, np.log(forecasts))))

    def _cell(self, mode: Mode, round_trip: float, seconds: float, prices: Prices | None) -> Cell:
        plain = self._text(Mode.CLOUD, round_trip, self.seconds(Mode.CLOUD, round_trip))
        taken = self._text(mode, round_trip, seconds)
        calls, *tokens_and_time = self._work(mode, round_trip)
        money = None
        if prices:
            money = prices.money(Amount(*(round(1e3 * each) for each in (calls, *tokens_and_time))))
        return Cell(TOKENS / taken, plain / taken, calls, money)

    def _text(self, mode: Mode, round_trip: float, seconds: float) -> float:
        """What a whole text takes, seconds. Where the target leads, its first token comes over the link.

        Args:
            seconds: what a token takes, once the first one is there.
        """
        own = self._of(mode)
        if mode is Mode.SPRINT:
            first = fmean(one.first for one in own)
        else:
            first = fmean(max(one.first - one.round_trip, 0.0) for one in own) + round_trip
        return first + (TOKENS - 1) * seconds

    def _work(self, mode: Mode, round_trip: float) -> list[float]:
        """Of the target for a token, by the parts of `Amount`: between two measured links, as far as it is between."""
        own = self._of(mode)
        trips = sorted({one.round_trip for one in own})
        works = [_per_token([one for one in own if one.round_trip == trip]) for trip in trips]
        return [float(np.interp(round_trip, trips, part)) for part in zip(*works, strict=True)]

    def _of(self, mode: Mode) -> list[Sample]:
        return [one for one in self._samples if one.mode is mode]


def _chooser(
    samples: Sequence[Sample], round_trip: float, modes: tuple[Mode, ...], expectation: Expectation
) -> Chooser:
    """Who would decide in `auto` on one link, after these texts."""
    pace = Pace(told=expectation.step, guess=round_trip)
    drafted = sum(one.drafted[0] for one in samples)
    pace.drafted(sum(one.drafted[1] for one in samples), drafted)
    for mode in modes:
        own = [one for one in samples if one.mode is mode]
        if passes := [_pass(one) for one in own if _pass(one) > 0]:
            pace.passed(mode, [fmean(passes)])

    def chooser() -> Chooser:
        return Chooser(
            pace, (), Prefer.SPEED, modes, 0, expectation.window, expectation.ask_rate, expectation.agreement
        )

    learning = chooser()
    for one in samples:
        if one.tokens > 1:
            learning.learn(one.mode, one.tokens - 1, min(one.asked, one.tokens - 1), one.seconds)
    return chooser()  # which expects what texts of this kind have shown, and not only the last one


def never_falling(values: Sequence[float]) -> list[float]:
    """The nearest values, by squares, that never fall: a longer link makes nothing quicker, though a busy moment may
    make it seem so (pool adjacent violators; Ayer, Brunk, Ewing, Reid, Silverman, 1955)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (left, count), (right, more) = pools[-2:]
            pools[-2:] = [((left * count + right * more) / (count + more), count + more)]
    return [mean for mean, count in pools for _ in range(count)]


def _pass(one: Sample) -> float:
    """What a pass of the target took, seconds; where it does not say, of the plain stream what a token took."""
    if one.amount.microseconds and one.calls:
        return one.amount.microseconds / 1e6 / one.calls
    return one.seconds / (one.tokens - 1) if one.mode is Mode.CLOUD and one.tokens > 1 else 0.0


def _per_token(samples: Sequence[Sample]) -> tuple[float, ...]:
    work, tokens = sum((one.amount for one in samples), Amount()), sum(one.tokens for one in samples)
    calls = sum(one.calls for one in samples)
    return tuple(each / tokens for each in (calls, work.tokens_in, work.tokens_out, work.microseconds))
