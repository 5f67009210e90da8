"""How bundles stand: what each was worth with each target, which one is on trial where; and its form as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

from edge_client.promise.trial import FEW, LEAST, STAKES, Measure, Needs, Trial
from shared.fields import check_number, check_text, check_whole, chosen, filled, listed

FORMAT = 1
# The records used last are kept, and the trials begun last.
MOST_RECORDS, MOST_CASES = 256, 256


class Verdict(StrEnum):
    """How a trial stands."""

    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True)
class Case:
    """A bundle on trial at an address.

    Attributes:
        digest: of the bundle.
        before: of the one that it took the place of, and is held against; that of the embedded one is "".
        target: fingerprint of the target that judges.
        is_fair: what it is held against was measured with this very target.
        is_second: it is the older one that was gone back to, held against the newer one.
        trial: how it does.
        verdict: what came of it.
    """

    digest: str
    before: str
    target: str
    is_fair: bool
    is_second: bool
    trial: Trial
    verdict: Verdict = Verdict.OPEN


@dataclass(frozen=True)
class Record:
    """Whose needs were measured: of which bundle, with which target, in which kind of texts."""

    bundle: str
    target: str
    kind: str


@dataclass
class Standing:
    """What is known.

    Attributes:
        needs: of bundles, those used last at the end.
        cases: by the address of the target.
    """

    needs: dict[Record, Needs] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)

    def open(self, address: str, digest: str, before: str, target: str, is_second: bool) -> None:
        """Put a bundle on trial, if enough is known of the one before it; nothing else is on trial there then."""
        self.cases.pop(address, None)
        least = FEW if is_second else LEAST
        here = self._measures(before, target, least)
        measures = here if here or is_second else self._elsewhere(before, target, least)
        if measures and digest != before:
            self.cases[address] = Case(digest, before, target, bool(here), is_second, Trial(measures))
            for oldest in list(self.cases)[:-MOST_CASES]:
                del self.cases[oldest]

    def add(self, address: str, record: Record, tokens: int, needed: int) -> None:
        """Count a text, see `Needs.then`."""
        needs, need = self.needs.pop(record, Needs()).then(tokens, needed)
        self.needs[record] = needs
        for oldest in list(self.needs)[:-MOST_RECORDS]:
            del self.needs[oldest]
        case = self.cases.get(address)
        if case is None or case.digest != record.bundle or case.verdict is not Verdict.OPEN:
            return
        if case.target != record.target:  # another target by now, with the same bundle: nothing was measured with that
            del self.cases[address]
        elif not case.trial.is_warm:
            self.cases[address] = replace(case, trial=case.trial.warm(tokens))
        elif need is not None:
            trial = case.trial.then(record.kind, need)
            verdict = Verdict.FAILED if trial.has_failed else Verdict.PASSED if trial.has_passed else Verdict.OPEN
            self.cases[address] = replace(case, trial=trial, verdict=verdict)

    def _measures(self, digest: str, target: str, least: int) -> dict[str, Measure]:
        """What another bundle is held against that `target` judges, by kind."""
        found = {
            record.kind: needs.measure(least)
            for record, needs in self.needs.items()
            if (record.bundle, record.target) == (digest, target)
        }
        return {kind: measure for kind, measure in found.items() if measure is not None}

    def _elsewhere(self, digest: str, target: str, least: int) -> dict[str, Measure]:
        """The same, by the target that the bundle was used with before this one."""
        others = (record.target for record in reversed(self.needs) if record.bundle == digest)
        found = (self._measures(digest, other, least) for other in others if other != target)
        return next((measures for measures in found if measures), {})

    def as_text(self) -> str:
        """JSON, of which `from_text` makes the same."""
        needs = [asdict(record) | asdict(needs) for record, needs in self.needs.items()]
        cases = {address: asdict(case) for address, case in self.cases.items()}
        return json.dumps({"format": FORMAT, "needs": needs, "cases": cases}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Standing:
        """What a file says.

        Raises:
            ValueError: nothing of the kind.
        """
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("cases"), dict):
            raise ValueError("it is no record of bundles")
        needs = dict(_measured(item) for item in listed("needs", data.get("needs")))
        return cls(needs, {address: _case(case) for address, case in data["cases"].items()})


def _measured(data: object) -> tuple[Record, Needs]:
    if not isinstance(data, dict):
        raise ValueError("what was measured of a bundle must be an object")
    whose = {name: data[name] for name in Record.__dataclass_fields__ if name in data}
    record = filled(Record, whose)
    needs = filled(Needs, {name: value for name, value in data.items() if name not in whose})
    for name, value in whose.items():
        check_text(name, value)
    check_number("samples", needs.samples, 0)
    for name in ("total", "squares"):  # of numbers from 0 to 1, but for rounding
        check_number(name, getattr(needs, name), 0, 1.001 * needs.samples)
    check_whole("tokens", needs.tokens)
    check_whole("needed", needs.needed)
    return record, needs


def _case(data: object) -> Case:
    case = filled(Case, data)
    for name in ("digest", "before", "target"):
        check_text(name, getattr(case, name))
    if not isinstance(case.is_fair, bool) or not isinstance(case.is_second, bool):
        raise ValueError("`is_fair` and `is_second` must be true or false")
    return replace(case, trial=_trial(case.trial), verdict=chosen(Verdict, "verdict", case.verdict))


def _trial(data: Any) -> Trial:
    trial = filled(Trial, data)
    if not isinstance(trial.measures, dict):
        raise ValueError("`measures` must be an object")
    measures = {kind: filled(Measure, measure) for kind, measure in trial.measures.items()}
    for measure in measures.values():
        check_number("usual", measure.usual, 0, 1.001)
        check_number("bar", measure.bar, 1e-6)
    for name in ("warmed", "samples"):
        check_whole(name, getattr(trial, name))
    for name in ("needs", "usual"):
        check_number(name, getattr(trial, name), 0)
    capitals = listed("capitals", trial.capitals)
    for capital in capitals:
        check_number("capitals", capital, 0)
    if len(capitals) != len(STAKES):
        raise ValueError(f"`capitals` must be a list of {len(STAKES)} numbers")
    return replace(trial, measures=measures, capitals=cast(tuple[float, ...], tuple(capitals)))
