"""What the budget buys: how much of the way from the draft's text to the target's each budget goes, and its price.

    python -m benchmarks.quality --documents stories.txt.xz dialogues.txt.xz --from 0.5
    python -m benchmarks.quality --documents stories.txt.xz --temperature 0 0.3 0.7 1 1.3 --top-p 1

A documents file holds texts separated by a line <|endoftext|>; their openings are the prompts. Every row writes to
the same prompts with the same seeds, in turn, so that a busy moment of the machine slows all of them down. Each
budget has one controller, carried from text to text. With several temperatures there is a table for each.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.documents import after, openings
from benchmarks.files import add_files, write_files
from benchmarks.gap import closed, gap
from benchmarks.local_target import local_target, run_main
from benchmarks.measures import distinctness, repetition, rouge_l
from benchmarks.modes import counted, write
from benchmarks.nearness import Written, regret, same, scores, steps_away
from benchmarks.pair import add_pair
from benchmarks.tables import markdown_table, percent
from benchmarks.verdicts import calls_per_token
from cloud_target.engine.interface import Engine
from cloud_target.engine.load import load_engine
from cloud_target.engine.settings import EngineSettings
from cloud_target.options.values import count
from cloud_target.training.corpus import read_documents
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Criterion, Mode
from shared.errors import InputError

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.1)
LOCAL, CLOUD = "local", "cloud"
WIDTH = 100
LEGEND = """\
nll: negative log-likelihood of the text under the target at temperature 1, nats a token; off cloud's: less that of what
the target wrote to the same prompts with the same seeds, ± its standard error over the texts (below 0 the text is too
likely, which is as far from the target's); gap closed: of that figure's gap between `local` and `cloud`, 100 % is the
target's own writing; "-" where that gap is not twice its own error; regret: |ln p1(y) - ln p1(x)|, x a token and y what
the target would have drawn in its place, nats a token; as cloud: tokens that are, at their place, those that the target
wrote by itself; ROUGE-L: F1 against that text, mean over the texts; repeated: 4-grams that occurred before in their
text; distinct-2: different pairs of tokens over all pairs; typical, strict: tokens off-target by each criterion;
unlikely: words that the target would hardly have written, whoever wrote them; x cloud: speed over that of `cloud`.
Everything ran on one machine, so there was no link to wait for, and the target is a small one: the ratio of speeds
holds for this pair here only."""

Runs = Mapping[str, Sequence[Written]]


def rows_of(settings: Settings) -> dict[str, Settings]:
    """What is compared, by name."""
    budgets = {
        f"sprint, {criterion} {100 * budget:g} %": replace(settings, criterion=criterion, budget=budget)
        for criterion in Criterion
        for budget in BUDGETS
    }
    return {LOCAL: replace(settings, mode=Mode.LOCAL), **budgets, CLOUD: replace(settings, mode=Mode.CLOUD)}


def default_row(settings: Settings) -> str:
    """The row that a user gets who sets nothing."""
    plain = Settings()
    chosen = replace(settings, mode=plain.mode, criterion=plain.criterion, budget=plain.budget)
    return next(name for name, row in rows_of(settings).items() if row == chosen)


def write_rows(
    edge: Edge, engine: Engine, prompts: Sequence[list[int]], settings: Settings, tell: Callable[[int], None]
) -> dict[str, list[Written]]:
    """Every prompt in every row, by name; a prompt's number is its seed.

    Args:
        edge: without memory of earlier texts; keeps one promise a row.
        engine: its target once more, to look at texts that are written.
        tell: is told how many prompts are done.
    """
    rows = rows_of(settings)
    runs: dict[str, list[Written]] = {name: [] for name in rows}
    for seed, prompt in enumerate(prompts):
        for name, row in rows.items():
            seeded = replace(row, seed=seed)
            run = write(edge, prompt, seeded)
            runs[name].append(Written(**vars(run), regret=regret(engine, prompt, run.ids, seeded.sampling)))
        tell(seed + 1)
    return runs


def _speed(runs: Sequence[Written]) -> float:
    return 1e3 * counted(runs).shown / sum(run.summary.times.total_ms for run in runs)


def _mean(values: Iterator[float | None], form: str) -> str:
    some = [value for value in values if value is not None]
    return format(sum(some) / len(some), form) if some else "-"


def _off_cloud(runs: Sequence[Written], rows: Runs) -> str:
    found = gap(*scores(runs, rows[CLOUD]))
    return "-" if found is None else f"{found.value:+.3f} ± {found.error:.3f}"


def _gap(runs: Sequence[Written], rows: Runs) -> str:
    share = closed(*scores(rows[LOCAL], rows[CLOUD], runs))
    return "-" if share is None else f"{percent(share.value, 0)} ± {percent(share.error, 0)}"


def gap_line(rows: Runs) -> str:
    """One sentence about the gap in likelihood between the draft's and the target's own writing."""
    found = gap(*scores(rows[LOCAL], rows[CLOUD]))
    if found is None:
        return "One text says nothing about the gap between local and cloud; write more of them."
    unclear = (
        ""
        if closed(*scores(rows[LOCAL], rows[CLOUD], rows[CLOUD]))
        else ", not a clear gap, so no share of it is given"
    )
    return f"The nll of local less that of cloud is {found.value:.3f} ± {found.error:.3f} nats a token{unclear}."


def away_line(rows: Runs) -> str:
    """One sentence about the steps, from `local` over falling budgets to `cloud`, that lead away from the target."""
    found: list[str] = []
    for criterion in Criterion:
        budgets = [name for name in rows if name.startswith(f"sprint, {criterion} ")]
        found += steps_away([(name, rows[name]) for name in (LOCAL, *reversed(budgets), CLOUD)])
    if not found:
        return "No step from local over falling budgets to cloud leads away from the target's text by two errors."
    return "Steps that lead away from the target's text by more than two errors: " + "; ".join(found) + "."


# Each column from the runs of its row and those of all rows.
COLUMNS: dict[str, Callable[[Sequence[Written], Runs], str]] = {
    "nll": lambda runs, rows: f"{counted(runs).mean_nll:.3f}",
    "off cloud's": _off_cloud,
    "gap closed %": _gap,
    "regret": lambda runs, rows: f"{sum(run.regret for run in runs) / counted(runs).shown:.3f}",
    "as cloud %": lambda runs, rows: percent(
        sum(same(run.ids, own.ids) for run, own in zip(runs, rows[CLOUD], strict=True)) / counted(runs).shown, 1
    ),
    "ROUGE-L": lambda runs, rows: _mean(
        (rouge_l(run.ids, own.ids) for run, own in zip(runs, rows[CLOUD], strict=True)), ".3f"
    ),
    "repeated %": lambda runs, rows: _mean((_hundredfold(repetition(run.ids)) for run in runs), ".1f"),
    "distinct-2": lambda runs, rows: _mean((distinctness(run.ids) for run in runs), ".3f"),
    "typical %": lambda runs, rows: percent(counted(runs).rate(Criterion.TYPICAL)),
    "strict %": lambda runs, rows: percent(counted(runs).rate(Criterion.STRICT)),
    "unlikely %": lambda runs, rows: percent(counted(runs).unlikely_share),
    "asked %": lambda runs, rows: percent(counted(runs).ask_rate, 1),
    "calls/token": lambda runs, rows: f"{calls_per_token(runs):.3f}",
    "tokens/s": lambda runs, rows: f"{_speed(runs):.0f}",
    "x cloud": lambda runs, rows: f"{_speed(runs) / _speed(rows[CLOUD]):.1f}",
}


def _hundredfold(share: float | None) -> float | None:
    return None if share is None else 100 * share


def table(rows: Runs) -> str:
    """All rows in Markdown."""
    return markdown_table(
        ["mode", *COLUMNS], [[name, *(cell(runs, rows) for cell in COLUMNS.values())] for name, runs in rows.items()]
    )


def samples(bundle: Bundle, prompts: Sequence[list[int]], rows: Runs, names: Sequence[str], shown: int) -> str:
    """The same prompt and seed as several rows went on with it, as blocks of Markdown."""
    blocks = []
    for number, prompt in enumerate(prompts[:shown]):
        lines = [*_wrapped("prompt", bundle.tokenizer.decode(prompt))]
        for name in names:
            lines += ["", *_wrapped(name, bundle.tokenizer.decode(rows[name][number].ids))]
        blocks.append("\n".join(["```text", *lines, "```"]))
    return "\n\n".join(blocks)


def _wrapped(name: str, text: str) -> list[str]:
    """The text under its name, its own lines kept."""
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, WIDTH - 4)]
    return [f"[{name}]", *(f"    {line}" for line in lines)]


def samplings(temperatures: Sequence[float], top_ps: Sequence[float]) -> list[tuple[float, float]]:
    """Each temperature with its top-p.

    Raises:
        InputError: neither one top-p for all nor one for each.
    """
    if len(top_ps) not in (1, len(temperatures)):
        raise InputError(
            f"give one --top-p, or one for each of the {len(temperatures)} temperatures, not {len(top_ps)}"
        )
    return list(zip(temperatures, [*top_ps] * (1 if len(top_ps) > 1 else len(temperatures)), strict=True))


def report(
    bundle: Bundle, address: str, engine: Engine, path: Path, sampling: tuple[float, float], options: argparse.Namespace
) -> str:
    """Table and samples for one file and one way of sampling."""
    temperature, top_p = sampling
    settings = Settings(temperature=temperature, top_p=top_p, max_tokens=options.tokens)
    title = f"{path.name}, temperature {temperature:g}, top-p {top_p:g}"
    documents = after(read_documents(path), options.start)
    prompts = openings(bundle.tokenizer, documents, options.generations)

    def tell(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r  {title}: {done} of {len(prompts)} prompts ", end="", file=sys.stderr, flush=True)
        elif done % 10 == 0 or done == len(prompts):
            print(f"  {title}: {done} of {len(prompts)} prompts", file=sys.stderr, flush=True)

    with Edge(address, bundle=bundle, memory=False, on_outage="wait") as edge:
        rows = write_rows(edge, engine, prompts, settings, tell)
    if sys.stderr.isatty():
        print("\r" + " " * 90 + "\r", end="", file=sys.stderr, flush=True)
    shown = samples(bundle, prompts, rows, (LOCAL, default_row(settings), CLOUD), options.samples)
    return "\n\n".join(part for part in (f"### {title}", table(rows), gap_line(rows), away_line(rows), shown) if part)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser, "a table each")
    parser.add_argument("--generations", type=count, default=60, help="texts a row (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=96, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.7], help="one or more (default: 0.7)")
    parser.add_argument(
        "--top-p", type=float, nargs="+", default=[0.9], help="one, or one for each temperature (default: 0.9)"
    )
    parser.add_argument("--samples", type=int, default=3, help="texts to show side by side (default: %(default)s)")
    add_files(parser)
    options = parser.parse_args()
    if not options.documents:
        parser.error("give --documents")
    ways = samplings(options.temperature, options.top_p)
    bundle = Bundle.load(options.bundle)
    engine = load_engine(EngineSettings(options.target, "cpu", "float32", threads=1))
    parts = []
    with local_target("--target", options.target, "--threads", "1") as target:
        for path in options.documents:
            for way in ways:
                parts.append(report(bundle, target.address, engine, path, way, options))
                print(parts[-1] + "\n", flush=True)
    print(LEGEND)
    write_files(options, "benchmarks.quality", [*parts, LEGEND])
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
