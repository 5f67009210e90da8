"""How much all tokens weigh together at a temperature, when only the likeliest are known one by one.

A token whose raw logit lies l below the largest one weighs exp(l / T), and top-p is a share of the sum. At T = 1 the
draft's graph gives that sum. Below, what is beyond the K candidates is bounded by what it weighs at T = 1, M: each of
its tokens weighs exp((1/T - 1) l) times as much as there, so all weigh

    M exp((1/T - 1) mu)  or more   mu is the mean of their l, weighted at T = 1, by Jensen's inequality
    M exp((1/T - 1) l_K) or less   l_K is the last candidate's, and theirs are below it

Above T = 1 there is no such bound from above that is worth anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

# What the graph's sums may be off by, in proportion.
ROUNDING = 1e-5
# The mass of no vocabulary is above exp of this; what says otherwise is not a number to reckon with.
_MOST = 50.0


class Bounds(NamedTuple):
    """The mass of all tokens lies between these."""

    least: float
    most: float


def rough_bounds(weights: Sequence[float], last: float, temperature: float, log_mass: float) -> Bounds:
    """Without another exponential for each candidate.

    Args:
        weights: of the candidates at this temperature.
        last: the last candidate's l / T.
        temperature: in use.
        log_mass: ln of what all tokens weigh at T = 1.
    """
    mass = math.exp(min(log_mass, _MOST))
    if temperature == 1.0:
        return Bounds(mass * (1 - ROUNDING), mass * (1 + ROUNDING))
    known = sum(weights)
    if temperature > 1.0:
        return Bounds(known, math.inf)
    # The candidates weigh no more here than at T = 1, so M is at most what is missing from them here.
    beyond = max(mass * (1 + ROUNDING) - known, 0.0) * math.exp(last * (1.0 - temperature))
    return Bounds(known, known + beyond)


def sharp_bounds(scaled: Sequence[float], temperature: float, log_mass: float, entropy: float) -> Bounds:
    """As sharp as they can be had from what is known; for temperatures below 1.

    Args:
        scaled: the candidates' l / T.
        temperature, log_mass: as in `rough_bounds`.
        entropy: of all tokens at T = 1, nats.
    """
    mass, slope = math.exp(min(log_mass, _MOST)), 1.0 / temperature - 1.0
    depths = [value * temperature for value in scaled]
    weights = [math.exp(depth) for depth in depths]
    known, beyond = sum(map(math.exp, scaled)), mass - sum(weights)
    error = mass * ROUNDING
    least, most = max(beyond - error, 0.0), max(beyond + error, 0.0)
    mean = depths[-1]
    if least:
        # The mean of all l at T = 1 is the log mass less the entropy.
        rest = mass * (log_mass - entropy) - sum(w * depth for w, depth in zip(weights, depths, strict=True) if w)
        mean = min(rest / beyond, mean)
    return Bounds(known + least * math.exp(slope * mean), known + most * math.exp(slope * depths[-1]))
