"""What is remembered of one promise, and its form as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar, cast

from edge_client.promise import learning
from edge_client.promise.learning import Correction
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Coupling, Criterion
from shared.domains import GENERAL
from shared.fields import check_number, check_text, check_whole, chosen, filled, listed, shown
from shared.steering.budget import Steering
from shared.steering.evidence import LOG_ODDS, UNLIKE, Evidence
from shared.steering.ledger import Account


@dataclass(frozen=True)
class Promise:
    """What one budget is about, with everything that moves its threshold: the same promise, made again.

    Attributes:
        criterion, budget: as the user set them.
        coupling: how tokens are drawn. Temperature, top-p and top-k are not part of it: what the audits say of a doubt
            holds for all of them.
        target: fingerprint of the target that judges.
        learns: whether the verifier is corrected by what it learned.
        constrained: whether the texts keep to a grammar, under which the doubts mean something else.
        strict_structure: whether what that all but dictates counts by `strict`.
    """

    criterion: Criterion
    budget: float
    coupling: Coupling
    target: str
    learns: bool
    constrained: bool = False
    strict_structure: bool = False

    @classmethod
    def of(cls, settings: Settings, target: str) -> Promise:
        """The promise of one text."""
        constrained = settings.grammar is not None
        strictly = settings.counts_structure_strictly
        return cls(
            settings.criterion, settings.budget, settings.coupling, target, settings.learn, constrained, strictly
        )


@dataclass(frozen=True)
class Learned:
    """What audits have shown of one verifier's doubts.

    Attributes:
        evidence: what they are worth.
        correction: of its head, where it has been allowed to learn.
    """

    evidence: Evidence = field(default_factory=Evidence)
    correction: Correction | None = None

    def after(self, taught: Learned) -> Learned:
        """With what one more text taught; of two corrections that which has learned from more tokens."""
        mine, other = self.correction, taught.correction
        newest = mine if mine and (other is None or mine.tokens > other.tokens) else other
        return Learned(self.evidence.then(taught.evidence), newest)


@dataclass(frozen=True)
class Entry:
    """What audits have shown of one promise.

    Attributes:
        promise: what it is about.
        steering: where its budget stands.
        texts: written so far.
        counts: of their tokens.
        correction: of the verifier's head, where it has been allowed to learn.
        domains: the same of the verifiers of domains, by name; the account is the promise's own, whoever doubted.
        losses: by how many nats each verifier is behind the best; empty where there is one only.
    """

    promise: Promise
    steering: Steering = field(default_factory=Steering)
    texts: int = 0
    counts: AuditCounts = field(default_factory=AuditCounts)
    correction: Correction | None = None
    domains: dict[str, Learned] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)

    @property
    def divergence(self) -> float | None:
        """The audited divergence rate by the promise's own criterion; None where nothing was audited."""
        return self.counts.rate(self.promise.criterion)

    @property
    def is_overdrawn(self) -> bool:
        """Whether every token is asked now, see `Account.overdrawn`."""
        return self.steering.account.overdrawn(self.promise.budget)

    def of(self, verifier: str) -> Learned:
        """What is known of one verifier."""
        if verifier == GENERAL:
            return Learned(self.steering.evidence, self.correction)
        return self.domains.get(verifier, Learned())

    def after(
        self, account: Account, counts: AuditCounts, taught: Mapping[str, Learned], losses: Mapping[str, float]
    ) -> Entry:
        """With one more text.

        Args:
            account: what it added to the promise's.
            counts: of its tokens.
            taught: what it taught about each verifier that looked at it.
            losses: how the verifiers stand after it.
        """
        known = {name: self.of(name).after(learned) for name, learned in taught.items()}
        general = known.pop(GENERAL, self.of(GENERAL))
        return replace(
            self,
            steering=Steering(general.evidence, self.steering.account.then(account, self.promise.budget)),
            texts=self.texts + 1,
            counts=self.counts + counts,
            correction=general.correction,
            domains=self.domains | known,
            losses=dict(losses),
        )

    def like(self, promise: Promise) -> Entry:
        """The first entry of another promise about which the same is known of doubts, and nothing else."""
        return Entry(
            promise, Steering(self.steering.evidence), 0, AuditCounts(), self.correction, self.domains, self.losses
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the same entry."""
        data = asdict(self)
        data |= data.pop("counts")
        data["steering"]["evidence"] = self.steering.evidence.as_json()
        for name, learned in self.domains.items():
            data["domains"][name]["evidence"] = learned.evidence.as_json()
        for name in ("domains", "losses"):
            if not data[name]:  # as ever where there is one verifier only
                del data[name]
        return data

    @classmethod
    def from_json(cls, data: object, name: str = "entry") -> Entry:
        """An entry from its JSON form.

        Args:
            name: what it is called in messages.

        Raises:
            ValueError: it is not one.
        """
        if not isinstance(data, dict):
            raise ValueError(f"`{name}` must be an object, not {shown(data)}")
        parts = {key: value for key, value in data.items() if key in _PARTS}
        entry = filled(cls, parts, name)
        counts = filled(AuditCounts, {key: value for key, value in data.items() if key not in _PARTS}, name)
        for key in ("shown", "known", "asked", "off_typical", "off_strict", "unlikely"):
            _check_count(f"{name}.{key}", getattr(counts, key))
        check_number(f"{name}.nll", counts.nll)
        _check_count(f"{name}.texts", entry.texts)
        return replace(
            entry,
            promise=_promise(entry.promise, f"{name}.promise"),
            steering=_steering(entry.steering, f"{name}.steering"),
            counts=counts,
            correction=None if entry.correction is None else _correction(entry.correction, f"{name}.correction"),
            domains=_named(_learned, entry.domains, f"{name}.domains"),
            losses=_named(_loss, entry.losses, f"{name}.losses"),
        )


Kind = TypeVar("Kind")

# The fields of an entry that are not counts: those lie beside them in the file.
_PARTS = ("promise", "steering", "texts", "correction", "domains", "losses")
# Larger whole numbers are not exact where they are added as floats.
_MOST = (1 << 53) - 1


def _promise(data: object, name: str) -> Promise:
    promise = filled(Promise, data, name)
    check_text(f"{name}.target", promise.target)
    for switch in ("learns", "constrained", "strict_structure"):
        if not isinstance(value := getattr(promise, switch), bool):
            raise ValueError(f"`{name}.{switch}` must be true or false, not {shown(value)}")
    check_number(f"{name}.budget", promise.budget, 0, 1)  # as `Settings` takes them, however small
    criterion = chosen(Criterion, f"{name}.criterion", promise.criterion)
    return replace(promise, criterion=criterion, coupling=chosen(Coupling, f"{name}.coupling", promise.coupling))


def _steering(data: object, name: str) -> Steering:
    steering = filled(Steering, data, name)
    return Steering(_evidence(steering.evidence, f"{name}.evidence"), _account(steering.account, f"{name}.account"))


def _evidence(data: object, name: str) -> Evidence:
    if not isinstance(data, dict) or data.keys() != {"cells", "doubts"}:
        raise ValueError(f"`{name}` must be an object with `cells` and `doubts`, not {shown(data)}")
    _check_count(f"{name}.doubts", data["doubts"])
    cells = []
    for i, cell in enumerate(listed(f"{name}.cells", data["cells"])):
        where = f"{name}.cells[{i}]"
        row, column, tokens, errors = _numbers(where, cell, 4)
        check_whole(f"{where}[0]", row, most=len(LOG_ODDS) - 1)
        check_whole(f"{where}[1]", column, most=len(UNLIKE) - 1)
        check_number(f"{where}[2]", tokens, 0, data["doubts"])
        check_number(f"{where}[3]", errors, 0, tokens)
        cells.append((row, column, tokens, errors))
    return Evidence.from_json(cells, data["doubts"])


def _named(read: Callable[[object, str], Kind], data: object, name: str) -> dict[str, Kind]:
    """A part for each verifier."""
    if not isinstance(data, dict):
        raise ValueError(f"`{name}` must be an object, not {shown(data)}")
    return {verifier: read(value, f"{name}.{verifier}") for verifier, value in data.items()}


def _learned(data: object, name: str) -> Learned:
    learned = filled(Learned, data, name)
    correction = None if learned.correction is None else _correction(learned.correction, f"{name}.correction")
    return Learned(_evidence(learned.evidence, f"{name}.evidence"), correction)


def _loss(data: object, name: str) -> float:
    check_number(name, data, 0)
    return cast(float, data)


def _account(data: object, name: str) -> Account:
    account = filled(Account, data, name)
    _check_count(f"{name}.tokens", account.tokens)
    # Every error is of a token, and every token pays in less than one.
    check_number(f"{name}.debt", account.debt, -account.tokens, account.tokens)
    return account


def _correction(data: object, name: str) -> Correction:
    correction = filled(Correction, data, name)
    _check_count(f"{name}.tokens", correction.tokens)
    _check_count(f"{name}.reverted", correction.reverted)
    check_number(f"{name}.advantage", correction.advantage)
    weights = _numbers(f"{name}.weights", correction.weights, learning.INPUTS)
    squares = _numbers(f"{name}.squares", correction.squares, learning.INPUTS)
    if min(squares) <= 0:
        raise ValueError(f"`{name}.squares` must be above 0, not {min(squares):g}")
    return replace(correction, weights=weights, squares=squares)


def _numbers(name: str, values: object, count: int, most: float = math.inf) -> tuple[float, ...]:
    found = listed(name, values)
    if len(found) != count:
        raise ValueError(f"`{name}` must be a list of {count} numbers, not of {len(found)}")
    numbers = []
    for i, value in enumerate(found):
        check_number(f"{name}[{i}]", value, -most, most)
        numbers.append(cast(float, value))
    return tuple(numbers)


def _check_count(name: str, value: object) -> None:
    check_whole(name, value, most=_MOST)
