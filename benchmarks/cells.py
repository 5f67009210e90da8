"""The cells of the promise: texts written one after the other under one budget, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.modes import Run, write
from benchmarks.scenarios import Scenario
from benchmarks.verdicts import Rate, Verdict, judge, per_token, rate, settled
from benchmarks.workers import Place
from edge_client.decoding.generation import Settings
from shared.config import Criterion, Mode, Sampling


@dataclass(frozen=True)
class Job:
    """Texts that are written one after the other.

    Attributes:
        name: of the documents.
        prompts: token ids of each.
        settings: of all; the seed is the first text's and counts up from text to text. In `local` there is no budget to
            keep.
    """

    name: str
    prompts: list[list[int]]
    settings: Settings

    @property
    def drawn(self) -> tuple[str, float, float]:
        """What a cell has in common with its baseline: documents, temperature, top-p."""
        return self.name, self.settings.sampling.temperature, self.settings.sampling.top_p


@dataclass(frozen=True)
class Cell:
    """One promise and what became of it.

    Attributes:
        scenario, documents, criterion, temperature, budget: what was promised.
        texts, tokens: shown.
        audited: of the tokens, those that the target has seen.
        off_target: of them, errors by the criterion.
        divergence, settled: the rate over all texts, and over those from the 300th token on.
        ask_rate: share of the tokens that were asked.
        never: the rate without asking.
        calls: to the target, per token.
        tokens_per_second: the tail audits not counted.
        verdict: on `divergence` in the plain scenario, on `settled` in the others.
    """

    scenario: Scenario
    documents: str
    criterion: Criterion
    temperature: float
    budget: float
    texts: int
    tokens: int
    audited: int
    off_target: int
    divergence: Rate | None
    settled: Rate | None
    ask_rate: float
    never: float
    calls: float
    tokens_per_second: float
    verdict: Verdict


def jobs_of(
    name: str,
    prompts: list[list[int]],
    tokens: int,
    temperatures: Sequence[float],
    criteria: Sequence[Criterion],
    budgets: Sequence[float],
    seed: int = 0,
) -> Iterator[Job]:
    """Never asking at each temperature, then a cell for each temperature, criterion and budget.

    Args:
        tokens: most of a text.
        seed: of each cell's first text.
    """
    for temperature in temperatures:
        # Nothing is cut off at 0 and at 1; between them it is as people use it.
        sampling = Sampling(temperature, 0, 1.0 if temperature in (0, 1) else 0.9, seed)
        yield Job(name, prompts, Settings(mode=Mode.LOCAL, sampling=sampling, max_tokens=tokens))
        for criterion in criteria:
            for budget in budgets:
                settings = Settings(criterion=criterion, budget=budget, sampling=sampling, max_tokens=tokens)
                yield Job(name, prompts, settings)


def write_all(place: Place, job: Job) -> list[Run]:
    """The runs of a job; in `sprint` one controller learns from all of them, as on a device that keeps its state."""
    settings = job.settings
    budget = None if settings.mode is Mode.LOCAL else place.device.budget(settings, place.client)
    runs = []
    for seed, prompt in enumerate(job.prompts, settings.sampling.seed):
        sampling = replace(settings.sampling, seed=seed)
        runs.append(write(place.device, place.client, prompt, replace(settings, sampling=sampling), budget))
        place.count(runs[-1].summary.tokens)
    return runs


def cells_of(scenario: Scenario, jobs: Sequence[Job], results: Sequence[Sequence[Run]]) -> list[Cell]:
    """Every cell, with the baseline that belongs to it."""
    pairs = list(zip(jobs, results, strict=True))
    unasked = {job.drawn: runs for job, runs in pairs if job.settings.mode is Mode.LOCAL}
    return [_cell(scenario, job, runs, unasked[job.drawn]) for job, runs in pairs if job.settings.mode is Mode.SPRINT]


def _cell(scenario: Scenario, job: Job, runs: Sequence[Run], unasked: Sequence[Run]) -> Cell:
    settings, late = job.settings, settled(runs)
    divergence, late_divergence = (_divergence(some, settings.criterion) for some in (runs, late))
    never = _divergence(unasked, settings.criterion)
    judged = runs, divergence
    if scenario is not Scenario.PLAIN and late_divergence is not None:
        judged = late, late_divergence
    return Cell(
        scenario,
        job.name,
        settings.criterion,
        settings.sampling.temperature,
        settings.budget,
        len(runs),
        sum(run.summary.tokens for run in runs),
        sum(run.known for run in runs),
        sum(run.off(settings.criterion) for run in runs),
        divergence,
        late_divergence,
        per_token(runs, "asked"),
        never.value,
        per_token(runs, "calls"),
        1e3 / per_token(runs, "total_ms"),
        judge(judged[1], settings.budget, never.value, per_token(judged[0], "asked")),
    )


def _divergence(runs: Sequence[Run], criterion: Criterion) -> Rate | None:
    return rate([run.off(criterion) for run in runs], [run.known for run in runs])


def warnings_of(runs: Sequence[Run]) -> list[str]:
    """What the edge would have told its user; sentences that differ only in their numbers are one."""
    said: dict[str, list[str]] = {}
    for run in runs:
        for warning in run.warnings:
            said.setdefault(re.sub(r"[\d.]+", "#", warning), []).append(warning)
    return [f"in {len(group)} of {len(runs)} texts: {group[0]}" for group in said.values()]
