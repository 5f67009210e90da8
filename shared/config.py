"""The settings that both sides must understand in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared import values
from shared.errors import InputError

# An unlikely word, by typical acceptance (Cai et al., Medusa, arXiv 2401.10774): p1(x) < min(EPS, DELTA exp(-H(p1))).
TYPICAL_EPS = 0.09
TYPICAL_DELTA = 0.3
# Of what the criteria mean (shared/criteria.py); thresholds hold for the revision that they were measured with. In the
# first one an unlikely word was an error by `typical` even where the target itself would have drawn it.
CRITERIA_REVISION = 2
# Temperatures below this are greedy: as 1 / temperature grows, what is left of the other tokens is no number any more.
COLDEST = 1e-5


class Criterion(StrEnum):
    """What the budget counts as an error."""

    TYPICAL = "typical"
    STRICT = "strict"


class Mode(StrEnum):
    """Who leads, and when the target is called."""

    SPRINT = "sprint"
    EXACT = "exact"
    LOCAL = "local"
    CLOUD = "cloud"
    AUTO = "auto"


class Coupling(StrEnum):
    """How the draft's and the target's draws hang together."""

    GUMBEL = "gumbel"
    RESIDUAL = "residual"


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from a model's logits: temperature, then top-k, then top-p.

    Attributes:
        temperature: 0 is greedy, and so is, and becomes 0, what is below `COLDEST`; at most 10.
        top_k: only the k likeliest tokens survive; 0 keeps all; below 2**32.
        top_p: only the smallest set of likeliest tokens with this probability survives; (0, 1].
        seed: of the noise that both sides share; unsigned 64 bits.

    Raises:
        InputError: a value out of range.
    """

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        for name, convert in _CONVERSIONS.items():
            object.__setattr__(self, name, convert(name, getattr(self, name)))
        if not 0 <= self.temperature <= 10:
            sentence = f"temperature must be between 0 and 10, not {self.temperature}"
            raise InputError(sentence, options=("temperature",))
        if self.temperature < COLDEST:
            object.__setattr__(self, "temperature", 0.0)
        if not 0 <= self.top_k < 1 << 32:
            sentence = f"top-k must be between 0 (keep all) and 2**32 - 1, not {self.top_k}"
            raise InputError(sentence, options=("top_k",))
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be above 0 and at most 1, not {self.top_p}", options=("top_p",))
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"the seed must be between 0 and 2**64 - 1, not {self.seed}", options=("seed",))


_CONVERSIONS = {"temperature": values.number, "top_k": values.whole, "top_p": values.number, "seed": values.whole}
