"""The prompts of the report: those that figures are of, and others that choices are made on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from edge_client.settings import Options, Settings

# Seeds of the prompts that choices are made on begin here.
_OTHERS = 10_000


@dataclass(frozen=True)
class Prompt:
    """Token ids, and the seed of the text after them."""

    ids: Sequence[int]
    seed: int

    def seeded(self, settings: Settings, **options: Unpack[Options]) -> Settings:
        """The settings of this prompt's text."""
        given: dict[str, Any] = {"seed": self.seed, **options}
        return settings.override(**given)


@dataclass(frozen=True)
class Prompts:
    """Two kinds that share no opening.

    Attributes:
        reported: that figures are of.
        others: that choices are made on.
    """

    reported: Sequence[Sequence[int]]
    others: Sequence[Sequence[int]]

    @classmethod
    def of(cls, openings: Sequence[Sequence[int]]) -> Prompts:
        """Of eight openings two, next to each other, are for choices; of fewer, the last two. There must be three."""
        apart = {number for number in range(len(openings)) if number % 8 >= 6}
        apart = apart or {len(openings) - 2, len(openings) - 1}
        return cls(
            [ids for number, ids in enumerate(openings) if number not in apart],
            [ids for number, ids in enumerate(openings) if number in apart],
        )

    def to_report(self, count: int) -> list[Prompt]:
        """So many, round again with other seeds where there are fewer openings."""
        return list(_round(self.reported, count, 0))

    def to_choose(self, count: int) -> list[Prompt]:
        """So many of the others."""
        return list(_round(self.others, count, _OTHERS))


def alternately(openings: Sequence[Sequence[int]], kinds: int) -> list[Sequence[int]]:
    """Openings of several kinds, as many of each and one kind after the other, so that kinds take turns."""
    each = len(openings) // kinds
    return [opening for number in range(each) for opening in openings[number::each]]


def _round(openings: Sequence[Sequence[int]], count: int, seed: int) -> Iterator[Prompt]:
    for number in range(count):
        yield Prompt(openings[number % len(openings)], seed + number)
