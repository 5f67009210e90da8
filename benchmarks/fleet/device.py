"""What a forward pass takes on a simulated device, and what of the texts that wait is in the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.fleet.traces import Pass
from cloud_target.scheduling.settings import SchedulerSettings

Item = TypeVar("Item")


@dataclass(frozen=True)
class Device:
    """A device that runs a target. Seconds each.

    Attributes:
        base: of a pass, whatever is in it: the time to read the weights.
        per_token: more for each token in it: the time to reckon with the weights.
        per_text: more for each text in it: the time to read its keys and values, which grows with what stands before.
        draft: what a step of the draft beside it takes, as a share of what a pass of the target with the same tokens
            does.
    """

    base: float = 0.025
    per_token: float = 0.0001
    per_text: float = 0.0
    draft: float = 0.0

    @property
    def chunk(self) -> int:
        """Tokens that cost as much as a pass costs anyway (`Engine.chunk`): so many guesses may be in a pass."""
        return max(round(self.base / self.per_token), 1) if self.per_token else SchedulerSettings().pass_tokens

    def seconds(self, tokens: int, texts: int, steps: int = 0, drafting: int = 0) -> float:
        """Of a pass over so many tokens of so many texts, behind `steps` of the draft for `drafting` of the texts."""
        draft = self.draft * (self.base + (self.per_token + self.per_text) * drafting)
        return self.base + self.per_token * tokens + self.per_text * texts + steps * draft

    def take(
        self, waiting: deque[Item], of: Callable[[Item], Pass]
    ) -> tuple[list[tuple[Item, Pass, Pass | None]], float]:
        """What the next pass has of those who wait, in order, as the target's scheduler has it, and its seconds.

        Texts share the room for guesses evenly; a draft beside the target makes no more than there is room for.

        Returns:
            Of each its pass and what is left of that for another one, see `Pass.within`.
        """
        room = SchedulerSettings().pass_tokens
        chosen: list[Item] = []
        while waiting and (not chosen or of(waiting[0]).needed <= room):
            room -= of(waiting[0]).needed
            chosen.append(waiting.popleft())
        guessing = sorted((of(item).guesses, number) for number, item in enumerate(chosen) if of(item).guesses)
        left, rooms = self.chunk, [0] * len(chosen)
        for before, (guesses, number) in enumerate(guessing):
            rooms[number] = min(guesses, left // (len(guessing) - before))
            left -= rooms[number]
        taken = [(item, *of(item).within(most)) for item, most in zip(chosen, rooms, strict=True)]
        passes = [here for _, here, _ in taken]
        steps = max((min(here.steps, here.guesses) for here in passes), default=0)
        drafting = sum(here.steps > 0 for here in passes)
        return taken, self.seconds(sum(here.needed + here.guesses for here in passes), len(passes), steps, drafting)
