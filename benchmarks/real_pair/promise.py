"""Is the promise kept on what people ask?"""

from __future__ import annotations

from benchmarks.cells import cells_of, jobs_of, warnings_of, write_all
from benchmarks.promise import LEGEND, closing, report
from benchmarks.real_pair.plan import Pair
from benchmarks.real_pair.questions import some
from benchmarks.scenarios import Scenario
from shared.config import Criterion, Mode

TITLE = "Is the promise kept?"
BUDGETS = {Criterion.TYPICAL: (0.01, 0.05), Criterion.STRICT: (0.05, 0.1)}
TEMPERATURE = 0.7


def measure(pair: Pair) -> str:
    """A cell for each budget, of one answer after the other, as on a device that keeps its state."""
    prompts = [pair.prompt(question) for question in some(pair.plan.texts)]
    jobs = [
        job
        for number, (criterion, budgets) in enumerate(BUDGETS.items())
        for job in jobs_of("questions", prompts, pair.plan.tokens, [TEMPERATURE], [criterion], budgets)
        if not number or job.settings.mode is Mode.SPRINT  # what never asks is the same for both criteria
    ]
    results = pair.workers.run(write_all, jobs, len(jobs) * pair.plan.texts * pair.plan.tokens)
    cells = cells_of(Scenario.PLAIN, jobs, results)
    asking = [run for job, runs in zip(jobs, results, strict=True) if job.settings.mode is Mode.SPRINT for run in runs]
    table = report(cells, warnings_of(asking)).partition("\n")[2].strip()
    told = f"{pair.plan.texts} questions, one after the other under each budget."
    return "\n\n".join((told, table, closing(cells), LEGEND))
