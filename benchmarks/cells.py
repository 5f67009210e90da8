"""The cells of the promise: texts written one after the other under one budget, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.modes import Run, counted, write
from benchmarks.scenarios import Scenario
from benchmarks.verdicts import Rate, Verdict, calls_per_token, judge, rate, settled, worst
from benchmarks.workers import Place
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Criterion, Mode
from shared.errors import InputError


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
        return self.name, self.settings.temperature, self.settings.top_p


@dataclass(frozen=True)
class Cell:
    """One promise and what became of it.

    Attributes:
        scenario, documents, criterion, temperature, budget: what was promised.
        texts, tokens: shown.
        audited: of the tokens, those that the target has seen.
        off_target: of them, errors by the criterion.
        unlikely: share of unlikely words among the audited ones, whoever wrote them.
        divergence, settled: the rate over all texts, and over those from the 300th token on.
        ask_rate: share of the tokens that were asked.
        never: the rate without asking.
        worst: the most errors among about 1,000 audited tokens in a row; None where there are not so many.
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
    unlikely: float
    divergence: Rate | None
    settled: Rate | None
    ask_rate: float
    never: float
    worst: int | None
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
        top_p = 1.0 if temperature in (0, 1) else 0.9
        drawn = Settings(temperature=temperature, top_p=top_p, seed=seed, max_tokens=tokens)
        yield Job(name, prompts, replace(drawn, mode=Mode.LOCAL))
        for criterion in criteria:
            for budget in budgets:
                yield Job(name, prompts, replace(drawn, criterion=criterion, budget=budget))


def write_all(place: Place, job: Job) -> list[Run]:
    """The runs of a job; in `sprint` one controller learns from all of them, as on a device that keeps its state."""
    runs = []
    with Edge(place.address, bundle=place.bundle, memory=False, on_outage="wait") as edge:
        for seed, prompt in enumerate(job.prompts, job.settings.seed):
            runs.append(write(edge, prompt, replace(job.settings, seed=seed)))
            place.count(runs[-1].counts.shown)
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
    if never is None:
        raise InputError(
            f"the target has seen no token of the texts of {job.name} that were written without asking, so there is no "
            "rate to compare with; give other documents"
        )
    judged = runs, divergence
    if scenario is not Scenario.PLAIN and late_divergence is not None:
        judged = late, late_divergence
    counts = counted(runs)
    return Cell(
        scenario,
        job.name,
        settings.criterion,
        settings.temperature,
        settings.budget,
        len(runs),
        counts.shown,
        counts.known,
        counts.off(settings.criterion),
        counts.unlikely_share or 0.0,
        divergence,
        late_divergence,
        counts.ask_rate,
        never.value,
        worst(runs, settings.criterion),
        calls_per_token(runs),
        1e3 * counts.shown / sum(run.summary.times.total_ms for run in runs),
        judge(judged[1], settings.budget, never.value, counted(judged[0]).ask_rate),
    )


def _divergence(runs: Sequence[Run], criterion: Criterion) -> Rate | None:
    return rate([run.counts.off(criterion) for run in runs], [run.counts.known for run in runs])


def warnings_of(runs: Sequence[Run]) -> list[str]:
    """What the edge would have told its user; sentences that differ only in their numbers are one."""
    said: dict[str, list[str]] = {}
    for run in runs:
        for warning in run.warnings:
            said.setdefault(re.sub(r"[\d.]+", "#", warning), []).append(warning)
    return [f"in {len(group)} of {len(runs)} texts: {group[0]}" for group in said.values()]
