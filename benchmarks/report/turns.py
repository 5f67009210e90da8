"""Systems write the same prompts in turn, so that a busy moment of the machine slows all of them down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.report.device import Text
from benchmarks.report.figures import Figures, Peaks, Place, Sample, figures_of
from benchmarks.report.paced import Work
from benchmarks.report.plan import BASELINES_EVERY
from benchmarks.report.prompts import Prompt
from benchmarks.report.systems import CLOUD
from edge_client.usage.audit_counts import AuditCounts


@dataclass(frozen=True)
class Writer:
    """A system in a place.

    Attributes:
        name, is_ours: of the system.
        chosen: what was chosen for it here, in words.
        write: one text.
        work: what the cloud has done so far.
        peaks: of memory, so far.
        judge: what the target thinks of a text that it has seen nothing of; None where it sees them anyway.
    """

    name: str
    is_ours: bool
    chosen: str
    write: Callable[[Prompt], Text]
    work: Callable[[], Work]
    peaks: Callable[[], Peaks]
    judge: Callable[[Prompt], AuditCounts] | None = None

    def sample(self, number: int, prompt: Prompt) -> Sample:
        """One text, and what it took."""
        before = self.work()
        text = self.write(prompt)
        work = self.work() - before
        if self.judge is not None:
            text = replace(text, counts=self.judge(prompt))
        return Sample(number, text, work)


def take_turns(
    writers: Sequence[Writer],
    prompts: Sequence[Prompt],
    until: float,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, list[Sample]]:
    """Texts of each writer, by its name: of ours after every prompt, of baselines after every third.

    Args:
        until: when to begin with no further prompt, on the clock; the first is always written.
    """
    samples: dict[str, list[Sample]] = {writer.name: [] for writer in writers}
    for number, prompt in enumerate(prompts):
        if number and clock() > until:
            break
        # Whoever is first reads the prompt for all, as the target keeps what texts have in common.
        first = number % len(writers)
        for writer in [*writers[first:], *writers[:first]]:
            if writer.is_ours or number % BASELINES_EVERY == 0:
                samples[writer.name].append(writer.sample(number, prompt))
    return samples


def summed_up(place: Place, writers: Sequence[Writer], samples: dict[str, list[Sample]]) -> list[Figures]:
    """Figures of each writer."""
    return [
        figures_of(
            place, writer.name, writer.is_ours, writer.chosen, samples[writer.name], samples[CLOUD], writer.peaks()
        )
        for writer in writers
    ]
