"""Whether a pass had better wait a moment for guesses about what the target has just written.

Where the link is short against a pass, fresh guesses come before the pass would have ended, and it then writes several
tokens in the place of one. All that the decision rests on is measured on the stream itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# How much of an average the newest value is.
NEWEST = 0.25
# Guesses that stood and fell before any was judged.
_STOOD, _FELL = 8.0, 2.0
# What was judged counts less and less: so much of it is left after each pass.
_KEPT = 0.95


class Patience:
    """What one stream has shown: how long a pass takes, how long fresh guesses do, and how often they stand.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._stood, self._fell = _STOOD, _FELL
        self._pass: float | None = None
        self._reply: float | None = None
        self._told: tuple[int, float] | None = None  # length of the text, and when; None once it was answered

    def told(self, length: int) -> None:
        """The edge is told of the text up to here."""
        self._told = length, self._clock()

    def heard(self, seen: int) -> None:
        """Guesses came from an edge that had so much of the text."""
        if self._told is not None and self._told[0] == seen:
            self._reply, self._told = _average(self._reply, self._clock() - self._told[1]), None

    @property
    def answered(self) -> bool:
        """Whether guesses have come from an edge that had all of the text."""
        return self._told is None

    def waited(self) -> None:
        """A pause is over; where nothing came of it, a reply takes twice as long as it was thought to."""
        if self._told is not None and self._reply is not None:
            self._reply, self._told = 2.0 * self._reply, None

    def judged(self, stood: int, fell: bool, seconds: float) -> None:
        """A pass has judged guesses: so many in a row stood, and whether the token after them was guessed wrongly."""
        self._stood = _STOOD + _KEPT * (self._stood - _STOOD) + stood
        self._fell = _FELL + _KEPT * (self._fell - _FELL) + fell
        self._pass = _average(self._pass, seconds)

    def worth(self, line: int, most: int) -> float:
        """Seconds to wait at most for more guesses, where so many follow one another and a pass can use `most`.

        A pass writes 1 + a + ... + a^n tokens, where one of the guesses for a place is right with probability a and
        there are some for n places: t with those that are here, T with all that it can use. A pass that goes on at once
        writes t, and the next one finds what comes meanwhile, which foresaw the first of these tokens with probability
        a: together t + aT in two passes. Waiting for a reply gives T in a reply and a pass, and in what is left of the
        same time, at T a pass, T (1 - reply / pass) more.
        """
        if self._told is None or self._reply is None or self._pass is None:
            return 0.0
        stands = self._stood / (self._stood + self._fell)
        here, all_ = (sum(stands**guesses for guesses in range(places + 1)) for places in (line, most))
        is_worth = all_ + all_ * (1.0 - self._reply / self._pass) > here + stands * all_
        return max(2.0 * self._reply - (self._clock() - self._told[1]), 0.0) if is_worth else 0.0


def _average(before: float | None, newest: float) -> float:
    return newest if before is None else before + NEWEST * (newest - before)
