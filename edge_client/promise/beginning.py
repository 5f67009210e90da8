"""What is known of a text before its first audit, so that its budget begins neither carelessly nor blindly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from shared.calibration import Calibration, Doubts, Familiar
from shared.config import CRITERIA_REVISION, Criterion, Sampling
from shared.manifest import Manifest
from shared.steering.budget import Budget, Steering
from shared.steering.recalibration import CALIBRATED, UNKNOWN, Prior
from shared.steering.usual import Usual

Way = TypeVar("Way", Calibration, Doubts, Familiar)


@dataclass(frozen=True)
class Beginning:
    """Where a budget begins.

    Attributes:
        usual: the verifier's doubts in calibrated text that is sampled like this one; None where there is none.
        prior: how far these doubts are trusted.
        unlike: how unlike the calibrated text this one is worded by now, see `drift.unlike`.
    """

    usual: Usual | None = None
    prior: Prior = UNKNOWN
    unlike: Callable[[], float] = lambda: 0.0

    @classmethod
    def of(
        cls, manifest: Manifest, criterion: Criterion, sampling: Sampling, fits: bool, unlike: Callable[[], float]
    ) -> Beginning:
        """From a bundle.

        Args:
            fits: whether its verifier was calibrated with these very models.
        """
        usual = usual_doubts(manifest.doubts, criterion, sampling)
        return cls(usual, CALIBRATED if usual and fits else UNKNOWN, unlike)

    def budget(self, limit: float, known: Steering | None = None) -> Budget:
        """A budget for this text, which goes on from what is known."""
        return Budget(limit, self.usual, self.prior, known, self.unlike())

    def ask_rate(self, threshold: float) -> float:
        """Of calibrated text, the share of tokens that are doubted more than this; one half where there is none."""
        if self.usual is None:
            return 0.5
        return float(np.mean(1.0 / (1.0 + np.exp(-self.usual.doubts)) > threshold))


def usual_doubts(table: Sequence[Doubts], criterion: Criterion, sampling: Sampling) -> Usual | None:
    """The doubts under `sampling`, interpolated between the two calibrated temperatures around it.

    Of several with one temperature, the nearest top-p counts. None where nothing was calibrated.
    """
    ways = [way for way in table if way.criterion == criterion]
    if not ways:
        return None
    low, high, share = _around(ways, sampling)
    doubts = (1 - share) * np.array(low.log_odds) + share * np.array(high.log_odds)
    errors = (1 - share) * np.array(low.errors or low.log_odds) + share * np.array(high.errors or high.log_odds)
    return Usual(doubts, errors)


def agreement_of(table: Sequence[Doubts], sampling: Sampling) -> float | None:
    """Of calibrated text, the share of drafted tokens that are the target's own; None where there is none."""
    usual = usual_doubts(table, Criterion.STRICT, sampling)
    return None if usual is None else 1.0 - float(np.mean(1.0 / (1.0 + np.exp(-usual.errors))))


def asked_of(table: Sequence[Calibration], criterion: Criterion, sampling: Sampling, budget: float) -> float | None:
    """Of calibrated text, the share of tokens that is asked about in the long run; None where nothing was calibrated.

    Between two calibrated budgets it is interpolated, and beyond them as at the nearest.
    """
    cells = [cell for cell in table if cell.criterion == criterion and cell.criteria == CRITERIA_REVISION]
    if not cells:
        return None

    def rate(way: Calibration) -> float:
        same = [cell for cell in cells if (cell.temperature, cell.top_p) == (way.temperature, way.top_p)]
        budgets, rates = zip(*sorted((cell.budget, cell.ask_rate) for cell in same), strict=True)
        return float(np.interp(budget, budgets, rates))

    low, high, share = _around(cells, sampling)
    return (1 - share) * rate(low) + share * rate(high)


def foresight(ways: Sequence[Familiar], sampling: Sampling) -> Sequence[float] | None:
    """Where the target does not write the drawn token, how often it writes each of those that were nearly drawn.

    None where nobody counted.
    """
    return nearest(ways, sampling).rivals if ways else None


def _around(ways: Sequence[Way], sampling: Sampling) -> tuple[Way, Way, float]:
    """The ways of sampling at the calibrated temperatures around this one, and how far it is from the first of them."""
    below = [way for way in ways if way.temperature <= sampling.temperature] or ways
    above = [way for way in ways if way.temperature >= sampling.temperature] or ways
    low, high = nearest(below, sampling), nearest(above, sampling)
    span = high.temperature - low.temperature
    share = min(max((sampling.temperature - low.temperature) / span, 0.0), 1.0) if span > 0 else 0.0
    return low, high, share


def nearest(ways: Sequence[Way], sampling: Sampling) -> Way:
    """Of what was measured under several ways of sampling, one at least, that which is most like `sampling`."""
    return min(ways, key=lambda way: (abs(way.temperature - sampling.temperature), abs(way.top_p - sampling.top_p)))
