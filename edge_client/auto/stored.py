"""The pace of a target as plain values, and what is believed of one that was written down in an earlier run.

Links and loads change, so what was measured then gives way to what is measured now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from edge_client.auto.pace import RESOLUTION, Kind, Level, Name, Pace, Rate
from shared.config import Mode
from shared.fields import check_number, check_text, chosen, listed, shown

FORMAT = 1
# Of the targets that were asked, and of the kinds of text to each, the newest are kept.
MOST_TARGETS, MOST_KINDS = 16, 16
# What was measured in earlier runs counts as much as this: half a newer mean, and so many looks at the modes together.
_WEIGHT, _LOOKS = 0.5, 8.0
# No time or count that was measured is larger.
_LARGEST = 1e9
# A kind of text has no more parts.
_MOST_PARTS = 8


@dataclass(frozen=True)
class Target:
    """Whom a pace is of.

    Attributes:
        fingerprint: of its model.
        address: where it was asked: another way to the same model is another link.
    """

    fingerprint: str
    address: str


def as_json(target: Target, pace: Pace) -> dict[str, Any]:
    """Plain values, from which `paces` makes nearly the same pace: what was measured counts less then."""
    return {
        "fingerprint": target.fingerprint,
        "address": target.address,
        "round_trip": pace.round_trip,
        "draft": pace.drafts and pace.drafts.value,
        "steps": {mode.value: level.value for mode, level in list(pace.steps.items())},
        "kinds": [
            {
                "name": list(name),
                "asks": [kind.asks.share, kind.asks.tokens],
                "spent": {mode.value: list(both) for mode, both in list(kind.spent.items())},
                "looks": {mode.value: count for mode, count in list(kind.looks.items())},
            }
            for name, kind in list(pace.kinds.items())[-MOST_KINDS:]
        ],
    }


def paces(data: object) -> dict[Target, Pace]:
    """The paces in a file, by target.

    Raises:
        ValueError: there are none.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"it must hold an object whose `format` is {FORMAT}, not {shown(data)}")
    found = {}
    for i, item in enumerate(listed("targets", data.get("targets"))[-MOST_TARGETS:]):
        of = _object(f"targets[{i}]", item)
        for key in ("fingerprint", "address"):
            check_text(f"targets[{i}].{key}", of.get(key))
        found[Target(of["fingerprint"], of["address"])] = _pace(of, f"targets[{i}]")
    return found


def _pace(data: dict[str, Any], name: str) -> Pace:
    pace = Pace(guess=_measured(f"{name}.round_trip", data.get("round_trip")))
    if data.get("draft") is not None:
        pace.drafts = Level(_measured(f"{name}.draft", data["draft"]), _WEIGHT)
    pace.steps = {
        mode: Level(_measured(f"{name}.steps", step), _WEIGHT)
        for mode, step in _by_mode(f"{name}.steps", data.get("steps")).items()
    }
    for i, item in enumerate(listed(f"{name}.kinds", data.get("kinds"))[-MOST_KINDS:]):
        of = _object(f"{name}.kinds[{i}]", item)
        pace.kinds[_name(f"{name}.kinds[{i}].name", of.get("name"))] = _kind(of, f"{name}.kinds[{i}]", pace.trust)
    return pace


def _kind(data: dict[str, Any], name: str, trust: float) -> Kind:
    """What was measured of a kind of text, with no more weight than its forecasts have."""
    share, tokens = _two(f"{name}.asks", data.get("asks"))
    check_number(f"{name}.asks", share, 0, 1)
    kind = Kind(Rate(share, min(tokens, Rate.expected(share).tokens)))
    for mode, both in _by_mode(f"{name}.spent", data.get("spent")).items():
        measured, forecasted = _two(f"{name}.spent", both)
        weight = min(1.0, trust / max(forecasted, trust))
        kind.spent[mode] = weight * measured, weight * forecasted
    looks = {
        mode: _measured(f"{name}.looks", count) for mode, count in _by_mode(f"{name}.looks", data.get("looks")).items()
    }
    weight = _LOOKS / max(sum(looks.values()), _LOOKS)
    kind.looks = {mode: weight * count for mode, count in looks.items()}
    return kind


def _object(name: str, data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"`{name}` must be an object, not {shown(data)}")
    return data


def _by_mode(name: str, data: object) -> dict[Mode, Any]:
    return {chosen(Mode, name, key): value for key, value in _object(name, data).items()}


def _name(name: str, data: object) -> Name:
    parts = listed(name, data)
    if len(parts) > _MOST_PARTS or not all(isinstance(part, str | int | float) for part in parts):
        raise ValueError(f"`{name}` must be a list of a few texts and numbers, not {shown(data)}")
    return tuple(cast(Name, parts))


def _two(name: str, data: object) -> tuple[float, float]:
    values = listed(name, data)
    if len(values) != 2:
        raise ValueError(f"`{name}` must be two numbers, not {len(values)}")
    return _measured(name, values[0]), _measured(name, values[1])


def _measured(name: str, value: object) -> float:
    check_number(name, value, 0, _LARGEST)
    return max(float(cast(float, value)), RESOLUTION)
