"""How much is measured, and of what."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.real_pair.questions import Question
from benchmarks.workers import Workers
from edge_client.bundles.bundle import Bundle
from edge_client.doctor.pair import LIMIT


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        texts: under each promise.
        tokens: most of a text.
        equal: questions that `exact` and `cloud` both answer at each temperature.
        equal_tokens: most of such a text.
        answers: questions of those that have a right answer.
        prompts: in every mode over every link.
        links: round trips, milliseconds.
        steps: milliseconds that a pass of the target lasts at least; 0 for as it is.
        seconds: that foretelling what pays may take.
        samples: texts side by side.
        processes: with a device and a target each, side by side where nothing is timed.
    """

    texts: int = 100
    tokens: int = 96
    equal: int = 30
    equal_tokens: int = 256
    answers: int = 40
    prompts: int = 4
    links: tuple[float, ...] = (0, 10, 50, 100)
    steps: tuple[float, ...] = (0,)
    seconds: float = LIMIT
    samples: int = 4
    processes: int = 2


QUICK = Plan(texts=6, tokens=32, equal=2, equal_tokens=32, answers=8, prompts=1, links=(0, 50), seconds=20, samples=1)


@dataclass(frozen=True)
class Pair:
    """Whom the page is about, and who writes for it.

    Attributes:
        target: as `cloud-target serve` takes it.
        bundle: of the device.
        plan: how much is measured.
        held: ends what was begun for it.
    """

    target: str
    bundle: Path
    plan: Plan
    held: ExitStack

    @cached_property
    def loaded(self) -> Bundle:
        return Bundle.load(self.bundle)

    @cached_property
    def workers(self) -> Workers:
        """Devices and targets that write side by side, begun when the first part needs them."""
        return self.held.enter_context(Workers(self.plan.processes, self.bundle, self.target))

    def prompt(self, question: Question) -> list[int]:
        """The ids of a conversation that a question begins."""
        return self.loaded.encode_chat([{"role": "user", "content": question.text}])
