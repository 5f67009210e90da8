"""What is remembered of one promise, and its form as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edge_client.promise.budget import Steering
from edge_client.promise.learning import INPUTS, Correction
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Coupling, Criterion


@dataclass(frozen=True)
class Promise:
    """What one budget is about, with everything that moves its threshold: the same promise, made again.

    Attributes:
        criterion, budget: as the user set them.
        temperature, top_p, top_k, coupling: how tokens are drawn.
        target: fingerprint of the target that judges.
        learns: whether the verifier is corrected by what it learned.
    """

    criterion: Criterion
    budget: float
    temperature: float
    top_p: float
    top_k: int
    coupling: Coupling
    target: str
    learns: bool

    @classmethod
    def of(cls, settings: Settings, target: str) -> Promise:
        """The promise of one text."""
        drawn = settings.temperature, settings.top_p, settings.top_k, settings.coupling
        return cls(settings.criterion, settings.budget, *drawn, target, settings.learn)


@dataclass(frozen=True)
class Entry:
    """What audits have shown of one promise.

    Attributes:
        promise: what it is about.
        steering: where its budget stands.
        texts: written so far.
        counts: of their tokens.
        correction: of the verifier's head, where it has been allowed to learn.
    """

    promise: Promise
    steering: Steering
    texts: int = 0
    counts: AuditCounts = field(default_factory=AuditCounts)
    correction: Correction | None = None

    @property
    def divergence(self) -> float:
        """The audited divergence rate by the promise's own criterion; 0 where nothing was audited."""
        return self.counts.rate(self.promise.criterion) or 0.0

    def after(self, steering: Steering, counts: AuditCounts, correction: Correction | None) -> Entry:
        """With one more text."""
        return replace(
            self,
            steering=steering,
            texts=self.texts + 1,
            counts=self.counts + counts,
            correction=correction or self.correction,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the same entry."""
        data = asdict(self)
        data |= data.pop("counts")
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Entry:
        """An entry from its JSON form.

        Raises:
            ValueError, TypeError, KeyError: it is not one.
        """
        promise = Promise(**data.pop("promise"))
        promise = replace(promise, criterion=Criterion(promise.criterion), coupling=Coupling(promise.coupling))
        steering = Steering(**data.pop("steering"))
        correction = _correction(data.pop("correction"))
        texts = data.pop("texts")
        counts = AuditCounts(**data)
        if not (isinstance(promise.target, str) and isinstance(promise.learns, bool)):
            raise ValueError("a promise without its target, or without whether it learns")
        _check_counts(promise.top_k, steering.tokens, texts, *(data[name] for name in data if name != "nll"))
        _check_numbers(steering.log_odds, steering.debt, counts.nll)
        _check_numbers(promise.budget, promise.temperature, promise.top_p)
        return cls(promise, steering, texts, counts, correction)


def _correction(data: dict[str, Any] | None) -> Correction | None:
    if data is None:
        return None
    lists = {"weights": tuple(data["weights"]), "squares": tuple(data["squares"])}
    correction = Correction(**data | lists)
    _check_counts(correction.tokens, correction.reverted)
    _check_numbers(correction.advantage, *correction.weights, *correction.squares)
    if not len(correction.weights) == len(correction.squares) == INPUTS or min(correction.squares) <= 0:
        raise ValueError("a correction does not fit the verifier")
    return correction


def _check_counts(*values: object) -> None:
    if not all(type(value) is int and 0 <= value < 1 << 53 for value in values):
        raise ValueError("a count is missing or out of range")


def _check_numbers(*values: object) -> None:
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise ValueError("a number is missing or not finite")
