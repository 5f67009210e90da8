"""Is the quality budget a promise that is kept? Texts in `sprint` for every budget, as the target audited them.

    python -m benchmarks.promise --documents stories.txt.xz dialogues.txt.xz --from 0.5
    python -m benchmarks.promise --documents stories.txt.xz --scenario noised other unseen coarse

A documents file holds texts separated by a line <|endoftext|>; their openings are the prompts. A cell is one file,
criterion, temperature and budget. Its texts are written one after the other under one budget controller, as a device
writes them that keeps its state. The exit status is 1 if a promise was broken.

scenarios (default: plain; the others are smaller, and judged from the 300th token on):
  plain   everything is as it was calibrated
  noised  a little noise on the target's weights
  other   so much noise that bundle and target were never made for each other
  unseen  English that neither model was trained on (brings its own documents)
  coarse  the draft rounded to 4 bits after its calibration
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cells import Cell, Job, cells_of, jobs_of, warnings_of, write_all
from benchmarks.documents import OPENING, openings
from benchmarks.files import add_files, write_files
from benchmarks.local_target import run_main
from benchmarks.pair import add_pair, documents_of
from benchmarks.scenarios import Scenario, Stage, build
from benchmarks.tables import markdown_table, percent
from benchmarks.verdicts import Rate, Verdict
from benchmarks.workers import Workers
from cloud_target.options.values import count
from shared.config import Criterion, Mode
from shared.steering.ledger import most_errors
from shared.tokenizer import load_tokenizer

LEGEND = """\
divergence: off-target tokens (accepted ones, by the row's criterion) in per cent of the tokens audited, ± its standard
error over the texts; settled: of the texts that begin at the 300th token or later; unlikely: words that the target
would hardly have written, whoever wrote them; never asking: what `local` writes for the same prompts, scored by the
target afterwards; worst 1,000: the most off-target tokens in texts in a row with about 1,000 audited ones, and how many
there may be (beside those of the 128 tokens or fewer under way); kept: within the budget and one standard error;
broken: above that; needless: kept with more asks than it took, below three quarters of the budget, where never asking
breaks it."""
HEADS = ["criterion", "temperature", "budget %", "tokens", "audited", "off-target", "divergence %", "settled %"]
HEADS += ["worst 1,000", "unlikely %", "asked %", "never asking %", "calls/token", "verdict"]


def play(scenario: Scenario, options: argparse.Namespace) -> tuple[list[Cell], str]:
    """All cells of one scenario, and their report, which is printed, too."""
    with tempfile.TemporaryDirectory() as scratch:
        stage = build(scenario, options.bundle, Path(scratch), options.target)
        jobs = all_jobs(stage, options)
        print(f"{scenario}: {len(jobs)} runs of {options.generations} texts", file=sys.stderr, flush=True)
        with Workers(min(options.jobs, len(jobs)), stage.bundle, stage.target) as workers:
            results = workers.run(write_all, jobs, len(jobs) * options.generations * options.tokens)
            asking = [runs for job, runs in zip(jobs, results, strict=True) if job.settings.mode is Mode.SPRINT]
            cells = cells_of(scenario, jobs, results)
            part = report(cells, warnings_of([run for runs in asking for run in runs]))
            # Before the processes end, which may take a while, or be cut short.
            print(part + "\n", flush=True)
    return cells, part


def all_jobs(stage: Stage, options: argparse.Namespace) -> list[Job]:
    """The jobs over every file, or over the texts that the scenario brings."""
    texts: Mapping[str, Sequence[str]] | None = stage.texts
    if texts is None:
        texts = documents_of(options)
    tokenizer = load_tokenizer(stage.bundle / "tokenizer.json")
    return [
        job
        for name, documents in texts.items()
        for job in jobs_of(
            name,
            openings(tokenizer, documents, options.generations, options.opening),
            options.tokens,
            options.temperatures,
            options.criteria,
            options.budgets,
            options.seed,
        )
    ]


def report(cells: Sequence[Cell], warnings: Sequence[str]) -> str:
    """A table for each file of one scenario, in Markdown, and the warnings."""
    parts = []
    for name in dict.fromkeys(cell.documents for cell in cells):
        parts.append(f"### {cells[0].scenario}: {name}")
        parts.append(markdown_table(HEADS, [_row(cell) for cell in cells if cell.documents == name]))
    parts.append("\n".join(f"- The edge warned {warning}" for warning in warnings) or "The edge gave no warning.")
    return "\n\n".join(parts)


def closing(cells: Sequence[Cell]) -> str:
    """One line with counts."""
    counts = Counter(cell.verdict for cell in cells)
    return f"{len(cells)} cell{'s' * (len(cells) != 1)}: " + ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in Verdict
    )


def _row(cell: Cell) -> list[str]:
    return [
        str(cell.criterion),
        f"{cell.temperature:g}",
        f"{100 * cell.budget:g}",
        *map(str, (cell.tokens, cell.audited, cell.off_target)),
        with_error(cell.divergence),
        with_error(cell.settled),
        worst_of(cell.worst, cell.budget),
        percent(cell.unlikely, 1),
        percent(cell.ask_rate, 1),
        percent(cell.never),
        f"{cell.calls:.3f}",
        str(cell.verdict),
    ]


def worst_of(errors: int | None, budget: float) -> str:
    """The most errors among 1,000 tokens, and how many there may be."""
    return "-" if errors is None else f"{errors} of {most_errors(budget):.1f}"


def with_error(rate: Rate | None) -> str:
    return "-" if rate is None else f"{percent(rate.value)} ± {percent(rate.error)}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line; None for those that `filled` fills in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser, "a table each")
    parser.add_argument(
        "--opening", type=count, default=OPENING, metavar="N", help="tokens of a prompt (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of each cell's first text (default: %(default)s)")
    parser.add_argument("--generations", type=count, help="texts a cell (default: 200, in other scenarios 40)")
    parser.add_argument("--tokens", type=count, default=96, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--temperatures", type=float, nargs="+", help="(default: 0 0.7 1, in other scenarios 0.7)")
    parser.add_argument(
        "--criteria",
        type=Criterion,
        nargs="+",
        default=list(Criterion),
        choices=list(Criterion),
        help="of what is off-target (default: both)",
    )
    parser.add_argument(
        "--budgets", type=float, nargs="+", help="(default: 0.005 0.01 0.02 0.05, in other scenarios 0.01 0.05)"
    )
    parser.add_argument(
        "--scenario",
        type=Scenario,
        nargs="+",
        default=[Scenario.PLAIN],
        choices=list(Scenario),
        metavar="NAME",
        help="what is not as it was calibrated (default: plain)",
    )
    parser.add_argument("--jobs", type=count, default=2, help="processes side by side (default: %(default)s)")
    add_files(parser, "cells")
    options = parser.parse_args(arguments)
    if not options.documents and set(options.scenario) != {Scenario.UNSEEN}:
        parser.error("give --documents; only --scenario unseen brings its own")
    return options


def filled(scenario: Scenario, options: argparse.Namespace) -> argparse.Namespace:
    """The options with what was not given: fewer cells where things are not as they were calibrated."""
    plain = scenario is Scenario.PLAIN
    chosen = {
        "generations": 200 if plain else 40,
        "temperatures": [0.0, 0.7, 1.0] if plain else [0.7],
        "budgets": [0.005, 0.01, 0.02, 0.05] if plain else [0.01, 0.05],
    }
    return argparse.Namespace(**chosen | {name: value for name, value in vars(options).items() if value is not None})


def main() -> int:
    options = parse()
    cells: list[Cell] = []
    parts = []
    for scenario in options.scenario:
        found, part = play(scenario, filled(scenario, options))
        cells += found
        parts.append(part)
    parts += [LEGEND, closing(cells)]
    print("\n\n".join(parts[-2:]))
    write_files(options, "benchmarks.promise", parts, cells)
    return int(any(cell.verdict is Verdict.BROKEN for cell in cells))


if __name__ == "__main__":
    sys.exit(run_main(main))
