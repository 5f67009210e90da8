"""How often a target disagrees with itself, by rounding alone: no budget below that can be told from it.

Read in other parts, the same text has logits that differ in their last digits. In float32 an answer that hangs on them
is given by a second look; in fewer digits every twentieth token would need one, so there the target's own token is now
one, now another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.config import Criterion, Sampling
from shared.fields import check_number, check_text, check_whole, filled, listed

# The arithmetic in which a target's own tokens hang on the text alone.
REPEATABLE = "float32"


@dataclass(frozen=True)
class Disagreement:
    """Between two readings of the same texts by one target: token by token, and in parts of several.

    Attributes:
        temperature, top_p: how the own tokens were drawn, with the same noise in both.
        strict: the share of draws with another token.
        typical: the share of those whose token of one reading is off-target, by `typical`, to the other.
        tokens: draws that were compared, several a position.
    """

    temperature: float
    top_p: float
    strict: float
    typical: float
    tokens: int

    def share(self, criterion: Criterion) -> float:
        """By one criterion."""
        return self.strict if criterion is Criterion.STRICT else self.typical


class Measured(Protocol):
    """What was measured of a target: a manifest.

    Attributes:
        target_name: of the target, for people.
        target_dtype: the arithmetic of its forward pass, with which everything was measured.
        disagreement: of the target with itself there, for some ways of sampling; empty where it is repeatable.
    """

    @property
    def target_name(self) -> str: ...
    @property
    def target_dtype(self) -> str: ...
    @property
    def disagreement(self) -> list[Disagreement]: ...


def read_disagreement(data: object) -> list[Disagreement]:
    """From JSON; raises ValueError where a part is missing or of another kind."""
    parts = enumerate(listed("disagreement", data))
    return [filled(Disagreement, part, f"disagreement[{i}]") for i, part in parts]


def check_rounding(of: Measured) -> None:
    """Raise ValueError for a value that nobody could have measured."""
    check_text("target_dtype", of.target_dtype)
    for i, way in enumerate(of.disagreement):
        name = f"disagreement[{i}]"
        check_number(f"{name}.temperature", way.temperature, 0, 10)
        for part in ("top_p", "strict", "typical"):
            check_number(f"{name}.{part}", getattr(way, part), 0, 1)
        check_whole(f"{name}.tokens", way.tokens, least=1)


def floor(ways: Sequence[Disagreement], criterion: Criterion, sampling: Sampling) -> float:
    """The share of tokens that are off-target by rounding alone, for texts that are sampled like this; 0 where nothing
    was measured.

    Between two temperatures the larger one counts, of several with one temperature the nearest top-p.
    """
    if not ways:
        return 0.0
    temperatures = sorted({way.temperature for way in ways})
    above = [t for t in temperatures if t >= sampling.temperature]
    nearest = above[0] if above else temperatures[-1]
    same = [way for way in ways if way.temperature == nearest]
    return min(same, key=lambda way: abs(way.top_p - sampling.top_p)).share(criterion)


def told_apart(share: float) -> float:
    """The least budget that can be told from such a share, in whole per cent: twice as much."""
    return math.ceil(round(200 * share, 6)) / 100


def percent(share: float) -> str:
    """For people: "1.4 %"."""
    return f"{100 * share:.2g} %"


def by_rounding(ways: Sequence[Disagreement]) -> str:
    """What was measured, for people, one way of sampling after the other."""
    return "; ".join(
        f"at temperature {way.temperature:g}, top-p {way.top_p:g} {percent(way.strict)} of {way.tokens:,} tokens by "
        f"strict and {percent(way.typical)} by typical"
        for way in ways
    )
