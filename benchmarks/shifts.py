"""Is the promise kept for the person in front of it? Unseen kinds of text, changes of kind, and changing settings.

    python -m benchmarks.shifts fresh
    python -m benchmarks.shifts shift varied mixed --documents stories.txt.xz dialogues.txt.xz

A documents file holds texts separated by a line <|endoftext|>; their openings are prompts, beside those of kinds that
neither model has seen (`benchmarks/kinds.py`). Without any, the built-in prompts stand for stories and dialogues. The
exit status is 1 if a promise was broken.

tables, for several promises each:
  fresh   devices that know nothing write one unseen kind: their first 300 tokens, and those after
  shift   3,000 tokens of the last documents, then 1,500 of code, Japanese, numbers and JSON in turn
  varied  one device whose user changes temperature and top-p with every text
  mixed   one device that writes every kind in turn
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tokenizers import Tokenizer

from benchmarks import lives
from benchmarks.documents import OPENING, openings
from benchmarks.files import add_files, write_files
from benchmarks.kinds import unseen_kinds
from benchmarks.lives import Kinds, Life, Written
from benchmarks.local_target import run_main
from benchmarks.modes import Run, counted
from benchmarks.pair import add_pair, documents_of
from benchmarks.promise import with_error, worst_of
from benchmarks.prompts import DIALOGUES, STORIES
from benchmarks.tables import markdown_table, percent
from benchmarks.verdicts import SETTLED, Rate, Verdict, rate, worst
from benchmarks.workers import Workers
from cloud_target.options.values import count
from edge_client.decoding.questions import WINDOWS_AHEAD
from edge_client.settings import SPRINT_WINDOW, Settings
from shared.config import Criterion, Mode
from shared.steering.ledger import most_errors
from shared.tokenizer import encode_prompt, load_tokenizer

AFTER_THE_SHIFT = ("code", "japanese", "numbers", "json")
# Openings of a kind; of more the texts would only be others.
PROMPTS = 120
LEGEND = """\
divergence: off-target tokens in per cent of the tokens audited, ± its standard error over the texts; promised: what it
may be in these texts, in budgets; never asking: what `local` writes to the same prompts, scored by the target
afterwards; worst 1,000: the most off-target tokens of one device in texts in a row with about 1,000 audited ones, and
how many there may be (beside those of the 128 tokens or fewer under way); kept: within both and one standard error;
broken: beyond one."""
HEADS = [
    "promise",
    "texts",
    "tokens",
    "divergence %",
    "promised",
    "asked %",
    "never asking %",
    "worst 1,000",
    "verdict",
]


class Table(StrEnum):
    """What is tried."""

    FRESH = "fresh"
    SHIFT = "shift"
    VARIED = "varied"
    MIXED = "mixed"


@dataclass(frozen=True)
class Group:
    """Texts of a table about which something is promised.

    Attributes:
        name: what they are.
        holds: whether a text belongs to them.
        promised: how many budgets their rate may be; None where nothing is promised of them alone.
    """

    name: str
    holds: Callable[[Written], bool]
    promised: float | None


@dataclass(frozen=True)
class Row:
    """What became of one promise in one group of texts.

    Attributes:
        table, group, criterion, budget: what was promised.
        promised: in budgets; None for nothing.
        texts, tokens: shown.
        divergence: of the audited tokens.
        ask_rate: share of the tokens that were asked.
        never: the rate without asking.
        worst: the most errors of one device among about 1,000 tokens in a row; None where it has not so many.
        verdict: None where nothing was promised.
    """

    table: Table
    group: str
    criterion: Criterion
    budget: float
    promised: float | None
    texts: int
    tokens: int
    divergence: Rate | None
    ask_rate: float
    never: Rate | None
    worst: int | None
    verdict: Verdict | None


def groups(table: Table, kinds: Sequence[str]) -> list[Group]:
    """What is looked at in a table of these kinds of text."""
    match table:
        case Table.FRESH:
            parts = ((f"first {SETTLED}", False, 2.0), ("after", True, 1.0))
            found = [
                Group(f"{kind}, {name}", _among(kind, is_late), None) for kind in kinds for name, is_late, _ in parts
            ]
            return found + [Group(f"all, {name}", _among(None, is_late), most) for name, is_late, most in parts]
        case Table.SHIFT:
            return [
                Group("before", lambda text: text.stretch == "before", 1.0),
                Group(f"first {SETTLED} after", _among(None, False, "after"), None),
                Group(f"from the {SETTLED}th after", _among(None, True, "after"), 1.0),
            ]
        case Table.VARIED:
            return [Group("all", lambda _: True, 1.0)]
        case Table.MIXED:
            return [Group(kind, _among(kind), 3.0) for kind in kinds] + [Group("all", lambda _: True, 1.0)]


def _among(kind: str | None, is_late: bool | None = None, stretch: str | None = None) -> Callable[[Written], bool]:
    """Texts of a kind, of the first or the later tokens, of a stretch; None for all."""
    return lambda text: (
        kind in (None, text.kind) and is_late in (None, text.before >= SETTLED) and stretch in (None, text.stretch)
    )


def lives_of(table: Table, known: Kinds, unseen: Kinds, settings: Settings, options: argparse.Namespace) -> list[Life]:
    """The lives that a table is about, under one promise."""
    match table:
        case Table.FRESH:
            return list(lives.fresh(unseen, options.states, SETTLED + options.after, settings))
        case Table.SHIFT:
            easy = dict(list(known.items())[-1:])
            hard = {kind: unseen[kind] for kind in AFTER_THE_SHIFT}
            return list(lives.shift(easy, hard, options.repeats, options.easy, options.hard, settings))
        case Table.VARIED:
            return list(lives.varied(known, options.runs or 200, settings))
        case Table.MIXED:
            return list(lives.mixed({**known, **unseen}, options.runs or 500, settings))


def row_of(
    table: Table,
    group: Group,
    settings: Settings,
    told: Sequence[Sequence[Written]],
    unasked: Sequence[Sequence[Written]],
) -> Row:
    """What became of a promise in a group.

    Args:
        told: the texts of each device.
        unasked: those of devices that never ask.
    """
    criterion, budget = settings.criterion, settings.budget

    def of(devices: Sequence[Sequence[Written]]) -> list[Run]:
        return [text.run for device in devices for text in device if group.holds(text)]

    runs = of(told)
    divergence = _rate(runs, criterion)
    # Of what a device writes in a row, whatever group it is of.
    worsts = [found for device in told if (found := worst([text.run for text in device], criterion)) is not None]
    verdict = None
    if group.promised is not None:
        within = divergence is not None and divergence.value <= group.promised * budget + divergence.error
        bounded = (
            max(worsts, default=0)
            <= most_errors(budget, 1000 + (settings.max_tokens or 0)) + WINDOWS_AHEAD * SPRINT_WINDOW
        )
        verdict = Verdict.KEPT if within and bounded else Verdict.BROKEN
    counts = counted(runs)
    return Row(
        table,
        group.name,
        criterion,
        budget,
        group.promised,
        len(runs),
        counts.shown,
        divergence,
        counts.ask_rate,
        _rate(of(unasked), criterion),
        max(worsts, default=None),
        verdict,
    )


def _rate(runs: Sequence[Run], criterion: Criterion) -> Rate | None:
    return rate([run.counts.off(criterion) for run in runs], [run.counts.known for run in runs])


def report(rows: Sequence[Row]) -> str:
    """One table for each group of promises, in Markdown."""
    parts = [f"### {rows[0].table}"]
    for criterion, budget in dict.fromkeys((row.criterion, row.budget) for row in rows):
        some = [row for row in rows if (row.criterion, row.budget) == (criterion, budget)]
        heads = [f"{criterion} {100 * budget:g} %", *HEADS[1:]]
        # The worst is of whole devices, so it stands beside the last row, which is about most of what they wrote.
        cells = [_cells(row if row is some[-1] else replace(row, worst=None)) for row in some]
        parts.append(markdown_table(heads, cells))
    return "\n\n".join(parts)


def _cells(row: Row) -> list[str]:
    return [
        row.group,
        str(row.texts),
        str(row.tokens),
        with_error(row.divergence),
        "-" if row.promised is None else f"{row.promised:g}",
        percent(row.ask_rate, 1),
        "-" if row.never is None else percent(row.never.value),
        worst_of(row.worst, row.budget),
        str(row.verdict or "-"),
    ]


def play(table: Table, workers: Workers, known: Kinds, unseen: Kinds, options: argparse.Namespace) -> list[Row]:
    """One table: what its devices write under each promise, and without asking."""
    drawn = Settings(temperature=options.temperature, top_p=options.top_p, seed=options.seed, max_tokens=options.tokens)
    promises = [replace(drawn, criterion=criterion, budget=budget) for criterion, budget in options.promises]
    ways = [replace(drawn, mode=Mode.LOCAL), *promises]
    jobs = [lives_of(table, known, unseen, way, options) for way in ways]
    print(f"{table}: {sum(map(len, jobs))} devices", file=sys.stderr, flush=True)
    every = [life for some in jobs for life in some]
    total = sum(stretch.tokens or options.tokens * len(stretch.texts) for life in every for stretch in life.stretches)
    written = iter(workers.run(lives.live, every, total))
    unasked, *told = [[next(written) for _ in some] for some in jobs]
    kinds = list(dict.fromkeys(text.kind for device in unasked for text in device))
    return [
        row_of(table, group, promise, devices, unasked)
        for promise, devices in zip(promises, told, strict=True)
        for group in groups(table, kinds)
    ]


def prompts(tokenizer: Tokenizer, options: argparse.Namespace) -> tuple[Kinds, Kinds]:
    """Prompts of kinds that the pair was made for, and of such that it was not."""
    known = {name: openings(tokenizer, texts, PROMPTS) for name, texts in documents_of(options).items()}
    if not known:
        built_in = {"stories": STORIES, "dialogues": DIALOGUES}
        known = {name: [encode_prompt(tokenizer, text) for text in texts] for name, texts in built_in.items()}
    unseen = {name: openings(tokenizer, texts, PROMPTS, OPENING) for name, texts in unseen_kinds().items()}
    return known, unseen


def promise(text: str) -> tuple[Criterion, float]:
    """A promise on a command line, such as typical:0.005."""
    criterion, _, budget = text.partition(":")
    try:
        found = Criterion(criterion), float(budget)
    except ValueError:
        found = Criterion.TYPICAL, 0.0
    if not 0 < found[1] <= 1:
        raise argparse.ArgumentTypeError(f"must be a criterion and a budget, such as typical:0.005, not {text!r}")
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Table, nargs="*", metavar="TABLE", help="(default: all)")
    add_pair(parser, "of kinds that the pair was made for")
    parser.add_argument(
        "--promises",
        type=promise,
        nargs="+",
        metavar="CRITERION:BUDGET",
        default=[promise(one) for one in ("typical:0.005", "typical:0.01", "strict:0.01", "strict:0.05")],
        help="(default: typical:0.005 typical:0.01 strict:0.01 strict:0.05)",
    )
    parser.add_argument("--states", type=count, default=10, help="fresh: devices a kind (default: %(default)s)")
    parser.add_argument(
        "--after", type=count, default=600, help="fresh: tokens of each device after its first (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=count, default=4, help="shift: devices (default: %(default)s)")
    parser.add_argument("--easy", type=count, default=3000, help="shift: tokens before (default: %(default)s)")
    parser.add_argument("--hard", type=count, default=1500, help="shift: tokens after (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=96, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--jobs", type=count, default=2, help="processes side by side (default: %(default)s)")
    parser.add_argument("--runs", type=count, help="varied, mixed: texts (default: 200 and 500)")
    parser.add_argument("--temperature", type=float, default=0.7, help="of all but varied (default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=0.9, help="of all but varied (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first texts (default: %(default)s)")
    add_files(parser, "rows")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    known, unseen = prompts(load_tokenizer(options.bundle / "tokenizer.json"), options)
    rows: list[Row] = []
    parts = []
    with Workers(options.jobs, options.bundle, options.target) as workers:
        for table in options.tables or list(Table):
            found = play(table, workers, known, unseen, options)
            rows += found
            parts.append(report(found))
            print(parts[-1] + "\n", flush=True)
    kept, broken = (sum(row.verdict is verdict for row in rows) for verdict in (Verdict.KEPT, Verdict.BROKEN))
    parts += [LEGEND, f"{kept + broken} promises: {kept} kept, {broken} broken"]
    print("\n\n".join(parts[-2:]))
    write_files(options, "benchmarks.shifts", parts, rows)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(run_main(main))
