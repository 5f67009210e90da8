"""How much all tokens weigh together at a temperature, as far as the likeliest ones tell.

A token whose raw logit lies l below the largest one weighs exp(l / T), and top-p is a share of the sum. At T = 1 the
draft's graph gives that sum. Below, each token weighs exp((1/T - 1) l) times as much as there; of those beyond the K
candidates none comes before the last of these, so all of them weigh no more than exp((1/T - 1) l_K) times as much.
Above T = 1 nothing of the kind holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# What the graph's sums may be off by, in proportion.
ROUNDING = 1e-5
# The mass of no vocabulary is above exp of this; what says otherwise is not a number to reckon with.
_MOST = 50.0


def at_one(log_mass: float) -> float:
    """The mass of all tokens at T = 1, from its logarithm."""
    return math.exp(min(log_mass, _MOST))


def bounds(weights: Sequence[float], last: float, temperature: float, log_mass: float) -> tuple[float, float]:
    """Between what the mass of all tokens lies, at the cost of a few numbers.

    Args:
        weights: of the candidates at this temperature.
        last: the last candidate's l / T.
        temperature: in use.
        log_mass: ln of what all tokens weigh at T = 1.
    """
    mass = at_one(log_mass)
    if temperature == 1.0:
        return mass * (1 - ROUNDING), mass * (1 + ROUNDING)
    known = sum(weights)
    if temperature > 1.0:
        return known, math.inf
    # The candidates weigh no more here than at T = 1, so what the others weigh there is at most what these lack of it.
    beyond = max(mass * (1 + ROUNDING) - known, 0.0) * math.exp(last * (1.0 - temperature))
    return known, known + beyond
