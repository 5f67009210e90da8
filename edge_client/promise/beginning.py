"""What is known of a text before its first audit, so that its budget begins neither carelessly nor blindly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_client.promise.budget import Budget, Steering
from edge_client.promise.recalibration import CALIBRATED, UNKNOWN, Prior
from shared.config import Criterion, Sampling
from shared.manifest import Doubts, Manifest


@dataclass(frozen=True)
class Beginning:
    """Where a budget begins.

    Attributes:
        usual: log-odds of the verifier's doubts in calibrated text that is sampled like this one.
        prior: how far these doubts are trusted.
        unlike: how unlike the calibrated text this one is worded by now, see `drift.unlike`.
    """

    usual: tuple[float, ...] = ()
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


def usual_doubts(table: Sequence[Doubts], criterion: Criterion, sampling: Sampling) -> tuple[float, ...]:
    """Log-odds of doubts as they are under `sampling`, interpolated between the two calibrated temperatures around it.

    Of several with one temperature, the nearest top-p counts. Empty where nothing was calibrated.
    """
    ways = [way for way in table if way.criterion == criterion]
    if not ways:
        return ()
    below = [way for way in ways if way.temperature <= sampling.temperature] or ways
    above = [way for way in ways if way.temperature >= sampling.temperature] or ways
    low, high = (_nearest(side, sampling) for side in (below, above))
    span = high.temperature - low.temperature
    share = min(max((sampling.temperature - low.temperature) / span, 0.0), 1.0) if span > 0 else 0.0
    return tuple((1 - share) * a + share * b for a, b in zip(low.log_odds, high.log_odds, strict=True))


def _nearest(ways: Sequence[Doubts], sampling: Sampling) -> Doubts:
    return min(ways, key=lambda way: (abs(way.temperature - sampling.temperature), abs(way.top_p - sampling.top_p)))
