"""The choice of `auto`: the mode whose forecast is best, looked at again every few tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log, sqrt
from time import perf_counter

from edge_client.auto.forecast import Conditions, Forecast, forecast
from edge_client.auto.pace import AGREEMENT, TEXT_TOKENS, Name, Pace, Rate
from edge_client.settings import Prefer
from shared.config import Mode

# Tokens after which the choice is looked at again.
REVIEW = 24
# What is gained by another mode must be worth leaving this one, which takes about a round trip.
WORTH_LEAVING = 1.1
# A look counts less with each that follows.
_KEPT = 0.97
# How much better than its forecast a mode may be that was hardly tried; see `_hoped`.
_HOPE = 0.4


class Chooser:
    """Chooses for one text.

    Args:
        pace: what was measured so far; it learns from this text.
        kind: of text: forecasts of the same kind correct each other.
        prefer: what is to be least.
        modes: to choose from.
        begins: position of the text's first token.
        window: of `sprint`.
        ask_rate: to be expected of `sprint`, where this kind was not written yet.
        agreement: share of drafted tokens that are the target's own, as far as it is known.
        clock: seconds.

    Attributes:
        mode: chosen now.
        tokens: written in each mode.
    """

    def __init__(
        self,
        pace: Pace,
        kind: Name,
        prefer: Prefer,
        modes: tuple[Mode, ...],
        begins: int,
        window: int,
        ask_rate: float,
        agreement: float | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._pace, self._prefer, self._modes = pace, prefer, modes
        self._window = window
        self._kind = pace.kind(kind, ask_rate)
        self._asks = Rate(self._kind.asks.share, TEXT_TOKENS)
        self._agreement = AGREEMENT if agreement is None else agreement
        self._clock = clock
        self._read: Callable[[Mode], None] = lambda mode: None
        self._since: tuple[int, float] | None = None  # tokens shown, and when
        self._counted = begins
        self._asked = self._next = 0
        self.tokens: dict[Mode, int] = dict.fromkeys(modes, 0)
        self.mode = min(modes, key=self._hoped)

    def listen(self, read: Callable[[Mode], None]) -> None:
        """Have the pace told, before anything is decided: `read` is given the mode of what was written since."""
        self._read = read

    def shown(self, tokens: int, left: int, asked: int) -> bool:
        """The text goes up to here now; returns whether another mode is better from here on, which is `mode` then.

        Args:
            tokens: of the text, its prompt's too.
            left: tokens that may follow.
            asked: that the target was asked about.
        """
        if self._since is None:
            # The first token of a stretch waits until the prompt is read, or the lead is handed over.
            if tokens > self._counted:
                self._since, self._next, self._asked = (tokens, self._clock()), tokens + REVIEW, asked
            return False
        if tokens < self._next:
            return False
        self.measure(tokens, asked)
        best = min(self._modes, key=self._figure)
        here, there = self._figure(self.mode), self._figure(best)
        if best is self.mode or here < WORTH_LEAVING * there or (here - there) * left < self._leaving(best):
            return False
        self.mode, self._since = best, None
        return True

    def measure(self, tokens: int, asked: int) -> None:
        """Learn from what was written since the last time."""
        self.tokens[self.mode] += tokens - self._counted
        self._counted = tokens
        if self._since is None or tokens <= self._since[0]:
            return
        self._read(self.mode)
        self.learn(self.mode, tokens - self._since[0], asked - self._asked, self._clock() - self._since[1])
        self._since, self._next, self._asked = (tokens, self._clock()), tokens + REVIEW, asked

    def learn(self, mode: Mode, written: int, asked: int, seconds: float) -> None:
        """So many tokens, one at least, were written in a mode, of which so many were asked about."""
        now = self.conditions
        if mode is Mode.SPRINT:
            for rate in (self._kind.asks, self._asks):
                rate.add(asked, written)
            # How much it asks is told apart from how long that takes.
            now = replace(now, ask_rate=asked / written)
        expected = written * forecast(mode, now).seconds
        spent, looks = self._kind.spent, self._kind.looks
        measured, forecasted = spent.get(mode, (0.0, 0.0))
        spent[mode] = _KEPT * measured + seconds, _KEPT * forecasted + expected
        for each in self._modes:
            looks[each] = _KEPT * looks.get(each, 0.0) + (each is mode)

    @property
    def conditions(self) -> Conditions:
        """What the forecasts rest on now."""
        pace = self._pace
        return Conditions(
            pace.draft,
            pace.step(Mode.SPRINT),
            pace.step(Mode.EXACT),
            pace.step(Mode.CLOUD),
            pace.round_trip,
            self._asks.share,
            self._kind.asks.share,
            self._window,
            self._agreement,
        )

    @property
    def spread(self) -> float:
        """Of the round trips, seconds."""
        return self._pace.spread

    def forecast(self, mode: Mode, round_trip: float | None = None) -> Forecast:
        """Of a token in a mode, corrected by what was measured in it.

        Args:
            round_trip: of another link than this one, seconds.
        """
        now = self.conditions
        plain = forecast(mode, now if round_trip is None else replace(now, round_trip=round_trip))
        measured, forecasted = self._kind.spent.get(mode, (0.0, 0.0))
        trust = self._pace.trust
        return Forecast(plain.seconds * (measured + trust) / (forecasted + trust), plain.target, plain.device)

    def _leaving(self, other: Mode) -> float:
        """What it takes to go over to another mode, seconds.

        Where the device has led, all of that is audited, and the target begins: a pass each, in one round trip. Whoever
        drafts for the target, or not, or begins to lead, does so at once.
        """
        return self._pace.round_trip + 2.0 * self._pace.step(other) if self.mode is Mode.SPRINT else 0.0

    def _hoped(self, mode: Mode) -> float:
        """What a text begins with: the figure, and the better the less it is known, as in UCB1 (Auer, Cesa-Bianchi,
        Fischer, 2002), so that no mode is given up for a forecast that was never tried."""
        looks = self._kind.looks
        hope = sqrt(log(1.0 + sum(looks.values())) / (1.0 + looks.get(mode, 0.0)))
        return self._figure(mode) / (1.0 + _HOPE * hope)

    def _figure(self, mode: Mode) -> float:
        """What is to be least."""
        found = self.forecast(mode)
        match self._prefer:
            case Prefer.COST:
                return found.target
            case Prefer.ENERGY:
                return found.work
        return found.seconds
