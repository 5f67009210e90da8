"""Other ways of choosing whom to ask, under the loop that ships: a score, and a threshold that stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.cascades import Cascade, Score, free_scores
from edge_client.bundles.bundle import Bundle
from edge_client.inference.draft import Step
from edge_client.inference.draft_loading import draft_maker
from edge_client.inference.pool import ModelPool, Models
from shared.draw import Draw
from shared.manifest import read_manifest
from shared.tokenizer import load_tokenizer

# Under this budget everything up to the surest doubt may be shown, whatever the audits say, so nothing is steered.
UNSTEERED = 1.0
_SURER_THAN_SURE = 1.0 + 1e-6


@dataclass
class Asker:
    """In the place of a doubt: asks where a score is above a threshold, under the budget `UNSTEERED`.

    Attributes:
        score: of a drawn token, or the name of a score that needs no training.
        threshold: on it.
        seen: the scores so far.
    """

    score: Score | str
    threshold: float = 0.0
    seen: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._score = free_scores()[self.score] if isinstance(self.score, str) else self.score

    def __call__(self, step: Step, draw: Draw) -> float:
        self.seen.append(self._score(step, draw))
        return _SURER_THAN_SURE if self.seen[-1] > self.threshold else 0.0

    def bundle(self, directory: Path) -> Bundle:
        """The bundle, with this in the place of its verifier."""
        manifest = read_manifest(directory)
        make = draft_maker(directory, manifest)
        models = ModelPool(lambda: Models(make(), Cascade(self, UNSTEERED)))
        return Bundle(manifest, load_tokenizer(directory / "tokenizer.json"), models)


@dataclass(frozen=True)
class Point:
    """How much is asked somewhere, and how far the text then is from the target's.

    Attributes:
        setting: a threshold, or a budget.
        asked: share of the tokens.
        typical, strict: divergence rates by the two criteria.
    """

    setting: float
    asked: float
    typical: float
    strict: float


def setting_at(curve: Sequence[Point], criterion: str, divergence: float) -> float:
    """The threshold at which a score leaves this divergence: between those of a curve as on a line, at most its ends.

    Higher thresholds ask less and leave no less, so where the points of few texts say otherwise they are evened out
    (pool adjacent violators).

    Args:
        curve: of one score, one point at least.
        criterion: "typical" or "strict".
    """
    points = sorted(curve, key=lambda point: point.setting)
    pools: list[list[float]] = []
    for point in points:
        pools.append([getattr(point, criterion)])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    rising = [float(np.mean(pool)) for pool in pools for _ in pool]
    return float(np.interp(divergence, rising, [point.setting for point in points]))
