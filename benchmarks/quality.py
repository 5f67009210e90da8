"""What the budget buys: how much of the way from the draft's text to the target's each budget goes, and its price.

    python -m benchmarks.quality --documents stories.txt.xz dialogues.txt.xz --from 0.5
    python -m benchmarks.quality --documents stories.txt.xz --generations 10 --temperature 1 --top-p 1

A documents file holds texts separated by a line <|endoftext|>; their openings are the prompts. Every row writes to
the same prompts with the same seeds, in turn, so that a busy moment of the machine slows all of them down. Each
budget has one controller, carried from text to text.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.documents import after, openings
from benchmarks.gap import closed, gap
from benchmarks.local_target import count, local_target, run_main
from benchmarks.measures import distinctness, repetition, rouge_l
from benchmarks.modes import Run, counted, write
from benchmarks.tables import markdown_table, percent, provenance
from benchmarks.verdicts import calls_per_token
from cloud_target.training.corpus import read_documents
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Criterion, Mode

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.1)
LOCAL, CLOUD = "local", "cloud"
WIDTH = 100
LEGEND = """\
nll: negative log-likelihood of the text under the target at temperature 1, nats a token; gap closed: of that figure's
gap between `local` and `cloud`, 100 % is the target's own writing, ± its standard error over the texts; "-" where that
gap is not twice its own error (a text that says little is a likely one, so a distilled draft need not score worse);
ROUGE-L: F1 against what the target wrote to the same prompt with the same seed, on tokens, mean over the texts;
repeated: 4-grams that occurred before in their text; distinct-2: different pairs of tokens over all pairs; typical,
strict: tokens off-target by each criterion; x cloud: speed over that of `cloud`. Everything ran on one machine, so
there was no link to wait for, and the target is a small one: the ratio of speeds holds for this pair here only."""

Runs = Mapping[str, Sequence[Run]]


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
    edge: Edge, prompts: Sequence[list[int]], settings: Settings, tell: Callable[[int], None]
) -> dict[str, list[Run]]:
    """Every prompt in every row, by name; a prompt's number is its seed.

    Args:
        edge: without memory of earlier texts; keeps one promise a row.
        tell: is told how many prompts are done.
    """
    rows = rows_of(settings)
    runs: dict[str, list[Run]] = {name: [] for name in rows}
    for seed, prompt in enumerate(prompts):
        for name, row in rows.items():
            runs[name].append(write(edge, prompt, replace(row, seed=seed)))
        tell(seed + 1)
    return runs


def _speed(runs: Sequence[Run]) -> float:
    return 1e3 * counted(runs).shown / sum(run.summary.times.total_ms for run in runs)


def _mean(values: Iterator[float | None], form: str) -> str:
    some = [value for value in values if value is not None]
    return format(sum(some) / len(some), form) if some else "-"


def _gap(runs: Sequence[Run], rows: Runs) -> str:
    share = closed(*_scores(rows[LOCAL], rows[CLOUD], runs))
    return "-" if share is None else f"{percent(share.value, 0)} ± {percent(share.error, 0)}"


def _scores(*writers: Sequence[Run]) -> tuple[list[list[float]], list[list[int]]]:
    counts = [[run.counts for run in runs] for runs in writers]
    return [[one.nll for one in row] for row in counts], [[one.known for one in row] for row in counts]


def gap_line(rows: Runs) -> str:
    """One sentence about the gap in likelihood between the draft's and the target's own writing."""
    found = gap(*_scores(rows[LOCAL], rows[CLOUD]))
    if found is None:
        return "One text says nothing about the gap between local and cloud; write more of them."
    unclear = (
        ""
        if closed(*_scores(rows[LOCAL], rows[CLOUD], rows[CLOUD]))
        else ", not a clear gap, so no share of it is given"
    )
    return f"The nll of local less that of cloud is {found.value:.3f} ± {found.error:.3f} nats a token{unclear}."


# Each column from the runs of its row and those of all rows.
COLUMNS: dict[str, Callable[[Sequence[Run], Runs], str]] = {
    "nll": lambda runs, rows: f"{counted(runs).mean_nll:.3f}",
    "gap closed %": _gap,
    "ROUGE-L": lambda runs, rows: _mean(
        (rouge_l(run.ids, own.ids) for run, own in zip(runs, rows[CLOUD], strict=True)), ".3f"
    ),
    "repeated %": lambda runs, rows: _mean((_hundredfold(repetition(run.ids)) for run in runs), ".1f"),
    "distinct-2": lambda runs, rows: _mean((distinctness(run.ids) for run in runs), ".3f"),
    "typical %": lambda runs, rows: percent(counted(runs).rate(Criterion.TYPICAL)),
    "strict %": lambda runs, rows: percent(counted(runs).rate(Criterion.STRICT)),
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


def report(bundle: Bundle, address: str, path: Path, options: argparse.Namespace) -> str:
    """Table and samples for one file."""
    settings = Settings(temperature=options.temperature, top_p=options.top_p, max_tokens=options.tokens)
    documents = after(read_documents(path), options.start)
    prompts = openings(bundle.tokenizer, documents, options.generations)

    def tell(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r  {path.name}: {done} of {len(prompts)} prompts ", end="", file=sys.stderr, flush=True)
        elif done % 10 == 0 or done == len(prompts):
            print(f"  {path.name}: {done} of {len(prompts)} prompts", file=sys.stderr, flush=True)

    with Edge(address, bundle=bundle, memory=False) as edge:
        rows = write_rows(edge, prompts, settings, tell)
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)
    shown = samples(bundle, prompts, rows, (LOCAL, default_row(settings), CLOUD), options.samples)
    return "\n\n".join(part for part in (f"### {path.name}", table(rows), gap_line(rows), shown) if part)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--documents",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="texts to take prompts from; .xz is unpacked",
    )
    parser.add_argument(
        "--from", dest="start", type=float, default=0.5, help="fraction of each file to skip (default: %(default)s)"
    )
    parser.add_argument("--generations", type=count, default=60, help="texts a row (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=96, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7, help="(default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=0.9, help="(default: %(default)s)")
    parser.add_argument("--samples", type=int, default=3, help="texts to show side by side (default: %(default)s)")
    parser.add_argument("--bundle", type=Path, default=POCKET, help="of the edge (default: the embedded one)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report there as well")
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    parts = []
    with local_target("--threads", "1") as target:
        for path in options.documents:
            parts.append(report(bundle, target.address, path, options))
            print(parts[-1] + "\n", flush=True)
    print(LEGEND)
    if options.markdown:
        text = "\n\n".join([provenance("benchmarks.quality"), *parts, LEGEND])
        options.markdown.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
