"""Whether to split, in which mode and on which links: the sentence that follows from how fast each mode is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_client.auto.chooser import WORTH_LEAVING

# Below this a mode is slower than the plain stream; from there to `WORTH_LEAVING`, about as fast.
_SLOWER = 0.9


@dataclass(frozen=True)
class Gain:
    """How fast a mode is, against the plain stream of the same link.

    Attributes:
        here: on the link as it is.
        others: on links of other lengths, the shortest first.
    """

    here: float
    others: Sequence[float]


def advice(here: float, round_trips: Sequence[float], gains: Mapping[str, Gain]) -> tuple[bool, str]:
    """Whether a split pays on the link as it is; and the sentence.

    Args:
        here: the round trip of that link, seconds.
        round_trips: of the others, the shortest first, seconds.
        gains: by the name of each mode that splits.
    """
    best = max(gains, key=lambda mode: gains[mode].here)
    pays = gains[best].here >= WORTH_LEAVING
    if pays:
        first = f"splitting pays on this link of {_ms(here)}: {best} is {gains[best].here:.1f} times the plain stream"
    else:
        first = f"splitting does not pay on this link of {_ms(here)}: write in mode cloud"
    return pays, "; ".join([first, *(_on_others(mode, round_trips, gain.others) for mode, gain in gains.items())])


def _on_others(mode: str, round_trips: Sequence[float], gains: Sequence[float]) -> str:
    """Where a mode pays."""
    pays = [gain >= WORTH_LEAVING for gain in gains]
    paying = [gain for gain in gains if gain >= WORTH_LEAVING]
    rest = [gain for gain in gains if gain < WORTH_LEAVING]
    last = _ms(round_trips[-1])
    if not rest:
        return f"{mode} pays on all links up to {last} ({_range(paying)} times the plain stream)"
    if not paying:
        slower = "is slower than the plain stream" if max(rest) < _SLOWER else "gains nothing"
        return f"{mode} {slower} on all links up to {last} ({_range(rest)} times)"
    count = len(paying)
    trips = [trip for trip, does in zip(round_trips, pays, strict=True) if does]
    if pays[:count] == [True] * count:
        where, otherwise = (f"up to {_ms(trips[-1])}" if count > 1 else f"of {_ms(trips[0])}"), "and not on longer ones"
    elif pays[-count:] == [True] * count:
        where, otherwise = f"from {_ms(trips[0])} on", "and not on shorter ones"
    else:
        where, otherwise = f"of {', '.join(map(_ms, trips))}", "and not on the others"
    return f"{mode} pays on links {where} ({_range(paying)} times the plain stream), {otherwise} ({_range(rest)})"


def _range(gains: Sequence[float]) -> str:
    low, high = f"{min(gains):.2f}", f"{max(gains):.2f}"
    return low if low == high else f"{low} to {high}"


def _ms(seconds: float) -> str:
    """A round trip for people."""
    return f"{1e3 * seconds:.3g} ms"
