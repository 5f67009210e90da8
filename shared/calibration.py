"""What was measured of a verifier: from a budget to a threshold, what its doubts are worth, and in which text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

from shared.config import CRITERIA_REVISION, Criterion
from shared.fields import check_number, check_text, check_whole, chosen, filled, listed

SMALLEST_BUDGET = 1e-9
SPREAD = 64
# Columns of the verifier's output: the probability that the drawn token is off-target, by each criterion.
DOUBT_COLUMNS = (Criterion.TYPICAL, Criterion.STRICT)


@dataclass(frozen=True)
class Calibration:
    """One cell of the table from budget to threshold, measured on held-out documents.

    Attributes:
        criterion, temperature, top_p: what it holds for.
        budget: largest allowed divergence rate.
        threshold: ask where the verifier's doubt is above it.
        divergence: measured divergence rate at that threshold.
        ask_rate: share of tokens asked at that threshold.
        tokens, documents: how many the two rates rest on.
        upper: upper confidence bound on a document's expected divergence rate at that threshold.
        confidence: of that bound.
        criteria: what the criteria meant when it was measured, see `shared.config.CRITERIA_REVISION`; a table that does
            not say it is of the first revision.
    """

    criterion: Criterion
    temperature: float
    top_p: float
    budget: float
    threshold: float
    divergence: float
    ask_rate: float
    tokens: int
    documents: int = 0
    upper: float = 1.0
    confidence: float = 0.0
    criteria: int = CRITERIA_REVISION

    @classmethod
    def from_json(cls, data: object, name: str = "") -> Calibration:
        """A cell from its JSON form, called `name` in messages; raises ValueError where it is none."""
        dated = {"criteria": 1} | data if isinstance(data, dict) else data
        cell = filled(cls, dated, name)
        return replace(cell, criterion=chosen(Criterion, f"{name}.criterion", cell.criterion))


@dataclass(frozen=True)
class Doubts:
    """What the verifier's doubts are like in the text that the calibration was measured on.

    Attributes:
        criterion, temperature, top_p: what it holds for.
        log_odds: of the doubts, `SPREAD` of their quantiles, ascending.
        errors: log-odds of an error at each of them, as they were counted; they rise where the doubts do. None if they
            were not: then the doubts are taken at their word.
    """

    criterion: Criterion
    temperature: float
    top_p: float
    log_odds: list[float]
    errors: list[float] | None = None


@dataclass(frozen=True)
class Familiar:
    """How the kind of text looks to the draft that the calibration was measured on.

    Attributes:
        temperature, top_p: what it holds for.
        window: tokens that each mean is taken over.
        low, high: within which the mean entropy of the draft over a window lies in 99 of 100 windows, nats.
        rivals: where the target does not write the drawn token, how often it writes the one that was nearly drawn, and
            how often the next; None if that was not counted.
    """

    temperature: float
    top_p: float
    window: int
    low: float
    high: float
    rivals: list[float] | None = None


@dataclass(frozen=True)
class Wording:
    """How the kind of text is worded that the calibration was measured on.

    Attributes:
        window: tokens that each mean is taken over.
        low, high: within which the bytes per token of a window lie in 99 of 100.
    """

    window: int
    low: float
    high: float


class Calibrated(Protocol):
    """Whatever has the tables of a verifier: a bundle of its general one, a domain of its own.

    Attributes:
        calibration: table from budget to threshold; it says what the verifier can do, and steers nothing.
        calibrated_draft: SHA-256 of the draft's graph that the table was measured with.
        doubts: what the verifier's doubts are like there, for each way of sampling.
        familiar: how calibrated text looks to the draft, for each way of sampling.
        wording: of the documents that its openings were taken from; None if there were none.
    """

    @property
    def calibration(self) -> list[Calibration]: ...
    @property
    def calibrated_draft(self) -> str: ...
    @property
    def doubts(self) -> list[Doubts]: ...
    @property
    def familiar(self) -> list[Familiar]: ...
    @property
    def wording(self) -> Wording | None: ...


def read_tables(of: Calibrated, place: str = "") -> dict[str, Any]:
    """The tables of something that was just read from JSON, each made of its parts.

    Args:
        place: what is put before the fields' names in messages.

    Raises:
        ValueError: a part is missing or of another kind.
    """
    calibration, doubts, familiar = (
        list(numbered(f"{place}{name}", getattr(of, name))) for name in ("calibration", "doubts", "familiar")
    )
    return {
        "calibration": [Calibration.from_json(cell, name) for name, cell in calibration],
        "doubts": [_doubts(way, name) for name, way in doubts],
        "familiar": [filled(Familiar, way, name) for name, way in familiar],
        "wording": filled(Wording, of.wording, f"{place}wording") if of.wording else None,
    }


def check_tables(of: Calibrated, place: str = "") -> None:
    """Raise ValueError for a value that the edge could not work with."""
    check_text(f"{place}calibrated_draft", of.calibrated_draft)
    for i, cell in enumerate(of.calibration):
        name = f"{place}calibration[{i}]"
        _check_sampling(name, cell)
        check_number(f"{name}.budget", cell.budget, SMALLEST_BUDGET, 1)
        for part in ("threshold", "divergence", "ask_rate", "upper", "confidence"):
            check_number(f"{name}.{part}", getattr(cell, part), 0, 1)
        for part in ("tokens", "documents", "criteria"):
            check_whole(f"{name}.{part}", getattr(cell, part))
    for i, spread in enumerate(of.doubts):
        _check_sampling(f"{place}doubts[{i}]", spread)
        _check_spread(f"{place}doubts[{i}]", spread)
    for i, way in enumerate(of.familiar):
        name = f"{place}familiar[{i}]"
        _check_sampling(name, way)
        _check_range(name, way)
        for part, share in numbered(f"{name}.rivals", way.rivals or []):
            check_number(part, share, 0, 1)
    if of.wording:
        _check_range(f"{place}wording", of.wording)


def numbered(name: str, items: object) -> Iterator[tuple[str, object]]:
    """The items of a list with what each is called in messages, such as "familiar[0]"."""
    return ((f"{name}[{i}]", item) for i, item in enumerate(listed(name, items)))


def _doubts(data: object, name: str) -> Doubts:
    way = filled(Doubts, data, name)
    return replace(way, criterion=chosen(Criterion, f"{name}.criterion", way.criterion))


def _check_sampling(name: str, how: Calibration | Doubts | Familiar) -> None:
    check_number(f"{name}.temperature", how.temperature, 0, 10)
    check_number(f"{name}.top_p", how.top_p, 0, 1)


def _check_spread(name: str, spread: Doubts) -> None:
    errors = spread.log_odds if spread.errors is None else spread.errors
    for part, values in (("log_odds", spread.log_odds), ("errors", errors)):
        if len(listed(f"{name}.{part}", values)) != SPREAD:
            raise ValueError(f"`{name}.{part}` must be a list of {SPREAD} numbers, not of {len(values)}")
        for value in values:
            check_number(f"{name}.{part}", value)
    for (doubt, error), (larger, more) in pairwise(zip(spread.log_odds, errors, strict=True)):
        if larger < doubt or (larger > doubt and more <= error):
            raise ValueError(f"`{name}` must rise: its `log_odds`, and where they rise its `errors`")


def _check_range(name: str, usual: Familiar | Wording) -> None:
    check_whole(f"{name}.window", usual.window, least=1)
    check_number(f"{name}.high", usual.high, 0)
    check_number(f"{name}.low", usual.low, 0, usual.high)
