"""What the way to a target takes: the round trip, how much it varies, and how fast bytes go up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from edge_client.doctor.device import spread
from edge_client.doctor.remote import Remote
from shared.errors import TargetError
from shared.findings import Check, Finding, ok, warn

# Seconds for each of the two measurements.
_MEASURING = 2.5
# Calls by which a round trip is measured; and those that carry bytes, against as many that carry none.
_CALLS, _LOADED, _FEWEST = 10, 5, 3
# So many bytes fit into the first flight of a connection (ten segments), so that they wait for no acknowledgement.
PADDING = 12 << 10
# A difference below so many quartile ranges may be chance.
_CLEAR = 2.0


@dataclass(frozen=True)
class Rate:
    """How fast bytes go.

    Attributes:
        rate: bits a second.
        is_bound: they go at least so fast, and nobody can tell how much faster.
    """

    rate: float
    is_bound: bool


def rate(empty: Sequence[float], loaded: Sequence[float], size: int) -> Rate:
    """By what calls with `size` bytes take more than those with none, seconds; two or more of each."""
    more = median(loaded) - median(empty)
    quartiles = [spread(list(each)) for each in (empty, loaded)]
    chance = _CLEAR * max(high - low for low, _, high in quartiles)
    if more > chance:
        return Rate(8 * size / more, False)
    return Rate(8 * size / max(max(more, 0.0) + chance, 1e-6), True)


class Link:
    """The checks of the way to a target that answers."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def checks(self) -> list[Check]:
        """In the order in which they make sense."""
        return [("round trip", self._round_trip), ("bandwidth", self._bandwidth)]

    def _round_trip(self) -> Iterator[Finding]:
        remote = self._remote
        if remote.description is None:
            return
        taken: list[float] = []
        why = self._repeat(_CALLS, lambda seconds: taken.append(remote.call(seconds)))
        if not taken:
            yield warn("round trip", f"not measured: {why}")
            return
        for seconds in taken:
            remote.pace.travelled(seconds)
        low, middle, high = spread(taken)
        yield ok(
            "round trip",
            f"{1e3 * middle:.1f} ms (median of {len(taken)} calls without a pass; half of them {1e3 * low:.1f} to "
            f"{1e3 * high:.1f})",
            seconds=middle,
            low=low,
            high=high,
            calls=len(taken),
        )

    def _bandwidth(self) -> Iterator[Finding]:
        remote = self._remote
        if remote.description is None:
            return
        empty: list[float] = []
        loaded: list[float] = []
        padding = os.urandom(PADDING)  # which nothing on the way makes smaller

        def both(seconds: float) -> None:
            empty.append(remote.call(seconds))
            loaded.append(remote.call(seconds, padding))

        why = self._repeat(_LOADED, both)
        if len(loaded) < _FEWEST:
            yield warn("bandwidth", f"not measured: {why}")
            return
        found = rate(empty[: len(loaded)], loaded, PADDING)
        up = f"{found.rate / 1e6:.3g} Mbit/s"
        told = f"at least {up}, for the link varies too much to tell more" if found.is_bound else up
        yield ok(
            "bandwidth",
            f"up {told} (by {len(loaded)} times {PADDING >> 10} KiB); down is not told: targets send nothing large",
            up=found.rate,
            is_lower_bound=found.is_bound,
            bytes=PADDING * len(loaded),
        )

    def _repeat(self, times: int, step: Callable[[float], None]) -> str:
        """Repeat a measurement until there are enough, or it takes long; returns why there are no more."""
        begin = perf_counter()
        for _ in range(times):
            try:
                self._remote.deadline.within(_MEASURING, step)
            except (TargetError, TimeoutError) as error:
                return str(error)
            if perf_counter() - begin > _MEASURING:
                return f"a call takes too long for it ({perf_counter() - begin:.0f} s are over)"
        return ""
