"""What a token would take in each mode, by what was measured.

The forms follow from how the loops work. Their constants were fitted to the embedded pair over links of 1 to 200 ms,
with target steps of 8 and 25 ms. Where they are off for another pair, `Kind.spent` corrects them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from shared.config import Mode

# Guesses that follow one another in one pass, at most, and the share of the tokens that fell which another guess holds.
_DEEP, _FORESIGHT = 8, 0.75
# Drafted tokens that it takes to guess one further ahead: some are drafted behind guesses that fall.
_READS = 2.0
# More likely than that is as good as sure.
_CERTAIN = 1.0 - 1e-9
# Of the guesses that would stand, those which are there when a pass begins.
_READY = 0.87
# What a pass and the way of its tokens take, against the pass.
_STREAM = 1.08
# Passes in one round trip after which hardly a guess reaches the target in time.
_LAG = 8.0
# Of a round trip, what a token that is asked about waits for, where hardly any is in such texts; and how much less
# where more are, because doubts are smaller then, and their questions are under way together.
_WAITS, _SHARED = 0.62, 1.2
# What the loop takes of a token's time, against drafting and verifying it.
_LOOP = 1.2
# Tokens that the device drafts for one that is shown, at most: the more is asked, the more of them are in vain, and
# where the target writes there is time for many.
_DRAFTED, _DRAFTED_MORE, _GUESSED = 2.0, 50.0, 9.0


@dataclass(frozen=True)
class Conditions:
    """What a forecast rests on; seconds.

    Attributes:
        draft: for a drafted token.
        asked_step, guessed_step, plain_step: for a pass of the target that judges what it is asked, that judges
            guesses, and that writes a token.
        round_trip: of the link.
        ask_rate: share of the tokens that `sprint` asks about.
        usual_rate: the same in all such texts.
        window: tokens after which they are audited.
        agreement: share of the drafted tokens that are the target's own.
    """

    draft: float
    asked_step: float
    guessed_step: float
    plain_step: float
    round_trip: float
    ask_rate: float
    usual_rate: float
    window: int
    agreement: float


@dataclass(frozen=True)
class Forecast:
    """Of one token, seconds.

    Attributes:
        seconds: until it is shown.
        target: that the target works for it.
        device: that the device works for it.
    """

    seconds: float
    target: float
    device: float

    @property
    def work(self) -> float:
        """Of both sides."""
        return self.target + self.device


def forecast(mode: Mode, now: Conditions) -> Forecast:
    """Of `sprint`, `exact` or `cloud`."""
    match mode:
        case Mode.SPRINT:
            passes = now.ask_rate + (1.0 - now.ask_rate) / now.window
            waits = max(_WAITS - _SHARED * now.usual_rate, 0.2) * now.round_trip
            seconds = _LOOP * now.draft + now.ask_rate * (now.asked_step + waits)
            target = passes * now.asked_step
            seconds = max(seconds, target)
            return Forecast(seconds, target, min((_DRAFTED + _DRAFTED_MORE * now.ask_rate) * now.draft, seconds))
        case Mode.EXACT:
            guessed = _READY * (now.agreement + _FORESIGHT * (1.0 - now.agreement))
            # While a pass lasts, a slow draft guesses less than the pass could judge.
            deep = min(_DEEP, now.guessed_step / (_READS * now.draft))
            together = 1.0 + deep if guessed > _CERTAIN else (1.0 - guessed ** (deep + 1.0)) / (1.0 - guessed)
            passes = 1.0 - (1.0 - 1.0 / together) * exp(-now.round_trip / now.guessed_step / _LAG)
            seconds = passes * now.guessed_step
            return Forecast(_STREAM * seconds, seconds, min(_GUESSED * now.draft, seconds))
    return Forecast(_STREAM * now.plain_step, now.plain_step, 0.0)
