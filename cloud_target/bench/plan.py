"""What a load test is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import StrEnum

from shared.errors import InputError


class Kind(StrEnum):
    """How a simulated edge writes; the names are those of the modes."""

    SPRINT = "sprint"
    EXACT = "exact"
    CLOUD = "cloud"


MIXES: dict[str, tuple[Kind, ...]] = {
    "sprint": (Kind.SPRINT,),
    "exact": (Kind.EXACT,),
    "cloud": (Kind.CLOUD,),
    "mixed": (Kind.SPRINT, Kind.SPRINT, Kind.SPRINT, Kind.EXACT, Kind.CLOUD),
}


@dataclass(frozen=True)
class Plan:
    """A load test.

    Attributes:
        sessions: simulated edges at work at the same time.
        calls: stop after so many answered requests; None: do not.
        seconds: stop after so long.
        think: from an answer to the next request of an edge, seconds on average; between half and three halves of it.
        mix: key of `MIXES`; edges are dealt out in turn.
        prompt_tokens: shortest and longest prompt.
        text_tokens: written after a prompt, before the edge starts another text.
        agreement: share of tokens that a draft would get right by itself.
        abandon: share of texts that end without a release, as if the edge had vanished.
        seed: of everything that is drawn.
    """

    sessions: int
    calls: int | None = None
    seconds: float = 10.0
    think: float = 0.01
    mix: str = "sprint"
    prompt_tokens: tuple[int, int] = (16, 64)
    text_tokens: int = 96
    agreement: float = 0.85
    abandon: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: with the option's name.
        """
        shortest, longest = self.prompt_tokens
        rules = {
            "sessions": self.sessions >= 1,
            "calls": self.calls is None or self.calls >= 1,
            "seconds": 0 < self.seconds < math.inf,
            "think": 0 <= self.think < math.inf,
            "mix": self.mix in MIXES,
            "prompt_tokens": 1 <= shortest <= longest,
            "text_tokens": self.text_tokens >= 2,
            "agreement": 0 <= self.agreement <= 1,
            "abandon": 0 <= self.abandon <= 1,
        }
        # As the command line has them.
        words = {"think": f"{1e3 * self.think:g}", "prompt_tokens": f"{shortest}:{longest}"}
        for field in fields(self):
            if not rules.get(field.name, True):
                option = {"think": "think-ms"}.get(field.name, field.name.replace("_", "-"))
                value = words.get(field.name, getattr(self, field.name))
                raise InputError(f"--{option} cannot be {value}; see `cloud-target bench --help`")

    def kind(self, edge: int) -> Kind:
        """What the edge of this number does."""
        return MIXES[self.mix][edge % len(MIXES[self.mix])]
