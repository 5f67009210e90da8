"""Which doubts may be shown: those whose errors, as expected, use up what is allowed, and no more.

A threshold that is right for one text asks too much in an easier one and too little in a harder one. So it follows from
the text at hand: from the doubts of the last drafted tokens, which say before any audit how hard it is. Where they are
none yet, from those of the texts that the bundle was calibrated on.
"""

from __future__ import annotations

import math

import numpy as np

from shared.steering.recalibration import chance


def highest(log_odds: np.ndarray, slope: float, offset: float, allowed: float) -> float:
    """The largest log-odds of a doubt that may be shown, as it is worth in calibrated text.

    Of tokens with doubts like these, those at or below it are expected to hold `allowed` errors a token. Equal doubts
    cannot be told apart: if not all of them may be shown, they are all the same, and the account has to see to it.

    Args:
        log_odds: of recent doubts, in any order, one at least, ``float64 [n]``.
        slope, offset: the log-odds of an error are slope l + offset; the slope is above 0.
        allowed: errors a token, above 0.
    """
    doubts = np.sort(log_odds)
    spent = chance(slope * doubts + offset).cumsum()
    room = allowed * len(doubts)
    count = int(np.searchsorted(spent, room, side="right"))
    if 0 < count < len(doubts):
        return float(doubts[count - 1] + doubts[count]) / 2
    # All may be shown, and one more that is as likely to be wrong as what is left allows; or not even the first.
    left = float(room - spent[-1]) if count else room
    one_more = math.inf if left >= 1 else (math.log(left / (1 - left)) - offset) / slope if left > 0 else -math.inf
    return max(float(doubts[-1]), one_more) if count else one_more
