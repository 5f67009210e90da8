"""The same prompts in every mode, and a table of what each cost and gave.

python -m benchmarks.modes --tokens 128 --seeds 3 --temperature 0.7
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.local_target import local_target, run_main
from benchmarks.pair import add_pair, prompts_of
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from edge_client.usage.summary import Summary
from shared.config import Coupling, Criterion, Mode
from shared.errors import TargetUnavailable
from shared.tokenizer import encode_prompt

SCORING_WAIT = 30.0


@dataclass(frozen=True)
class Run:
    """One text written in one mode, and how far the target thinks it is from its own.

    Attributes:
        summary: of the run.
        counts: what the target knows of the text; of one that `local` wrote, too.
        ids: the continuation's token ids.
        warnings: what the edge would have told its user.
    """

    summary: Summary
    counts: AuditCounts
    ids: list[int]
    warnings: list[str]


def write(edge: Edge, prompt: str | Sequence[int], settings: Settings) -> Run:
    """Write one text. What `local` wrote is shown to the target afterwards, so that it can be compared.

    Args:
        edge: keeps its promises from text to text.
        prompt: text, or token ids.

    Raises:
        TandemError: as `Edge.generate` does; also if the target does not score a text in time.
    """
    ids = encode_prompt(edge.bundle.tokenizer, prompt) if isinstance(prompt, str) else list(prompt)
    done = edge.generate(ids, **vars(settings))
    counts = done.usage.audit
    if settings.mode is Mode.LOCAL:
        end_ids = edge.bundle.manifest.end_ids
        with edge.connect().session(settings.sampling, Coupling.GUMBEL, end_ids, len(ids)) as session:
            audit = session.audit([*ids, *done.token_ids], SCORING_WAIT)
        if audit is None:
            raise TargetUnavailable(
                f"the target did not score a text within {SCORING_WAIT:.0f} seconds; run less beside it"
            )
        counts = replace(
            counts,
            known=len(audit),
            off_typical=sum(audit.off(Criterion.TYPICAL)),
            off_strict=sum(audit.off_strict),
            unlikely=sum(audit.unlikely),
            nll=sum(audit.nll),
        )
    return Run(done.usage, counts, done.token_ids, done.warnings)


def counted(runs: Sequence[Run]) -> AuditCounts:
    """The counts of all runs together."""
    return sum((run.counts for run in runs), AuditCounts())


def _per_token(figure: Callable[[Run], float], form: str) -> Callable[[Sequence[Run]], str]:
    return lambda runs: format(sum(map(figure, runs)) / counted(runs).shown, form)


def _per_known(figure: Callable[[AuditCounts], float], form: str) -> Callable[[Sequence[Run]], str]:
    def cell(runs: Sequence[Run]) -> str:
        counts = counted(runs)
        return format(figure(counts) / counts.known, form) if counts.known else "-"

    return cell


def _run_length(runs: Sequence[Run]) -> str:
    calls, accepted = (sum(getattr(run.summary, name) for run in runs) for name in ("calls", "accepted"))
    return f"{accepted / calls:.1f}" if calls and accepted else "-"


def _tokens_per_second(runs: Sequence[Run]) -> str:
    return f"{1e3 * counted(runs).shown / sum(run.summary.times.total_ms for run in runs):.0f}"


# All rates are of sums over all texts, so that a long text counts for more than a short one.
COLUMNS: tuple[tuple[str, Callable[[Sequence[Run]], str]], ...] = (
    ("tokens/s", _tokens_per_second),
    ("calls/token", _per_token(lambda run: run.summary.calls, ".3f")),
    ("run length", _run_length),
    ("typical %", _per_known(lambda counts: 100 * counts.off_typical, ".2f")),
    ("strict %", _per_known(lambda counts: 100 * counts.off_strict, ".1f")),
    ("unlikely %", _per_known(lambda counts: 100 * counts.unlikely, ".2f")),
    ("nll", _per_known(lambda counts: counts.nll, ".3f")),
    ("B up", _per_token(lambda run: run.summary.bytes_up, ".1f")),
    ("B down", _per_token(lambda run: run.summary.bytes_down, ".1f")),
    ("draft ms", _per_token(lambda run: run.summary.times.draft_ms, ".2f")),
    ("verifier", _per_token(lambda run: run.summary.times.verifier_ms, ".3f")),
    ("network", _per_token(lambda run: run.summary.times.network_ms, ".2f")),
    ("target", _per_token(lambda run: run.summary.times.target_ms, ".2f")),
)
LEGEND = """\
typical %, strict %: tokens off-target by each criterion, as the target audited them (what `local` wrote is scored
afterwards); unlikely %: words that the target would hardly have written, whoever wrote them; nll: negative
log-likelihood of the text under the target, nats a token; B: bytes of payload a token, without the prompt; draft ms,
verifier, network, target: milliseconds a token. All on one machine, so there is no link to wait for."""


def table(rows: Sequence[tuple[str, Sequence[Run]]]) -> str:
    """Rows of modes under the column heads, aligned."""
    cells = [["mode", *(head for head, _ in COLUMNS)]]
    cells += [[name, *(cell(runs) for _, cell in COLUMNS)] for name, runs in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def rows_of(settings: Settings) -> list[tuple[str, Settings]]:
    """What is compared: `sprint` as asked for and with a strict budget of 5 %, and the other modes."""
    rows = [(f"sprint, {settings.criterion} {settings.budget:.3g}", replace(settings, mode=Mode.SPRINT))]
    strict = replace(settings, mode=Mode.SPRINT, criterion=Criterion.STRICT, budget=0.05)
    if strict != rows[0][1]:
        rows.append(("sprint, strict 0.05", strict))
    return rows + [(str(mode), replace(settings, mode=mode)) for mode in (Mode.EXACT, Mode.LOCAL, Mode.CLOUD)]


def compare(
    bundle: Bundle, address: str, settings: Settings, prompts: Sequence[str | Sequence[int]], seeds: int
) -> list[tuple[str, list[Run]]]:
    """Every prompt and seed in every row of `rows_of`; a row's budget is carried from text to text, as on a device."""
    with Edge(address, bundle=bundle, memory=False, on_outage="wait") as edge:
        return [(name, _write_row(edge, name, row, prompts, seeds)) for name, row in rows_of(settings)]


def _write_row(edge: Edge, name: str, row: Settings, prompts: Sequence[str | Sequence[int]], seeds: int) -> list[Run]:
    runs: list[Run] = []
    for seed in range(seeds):
        for prompt in prompts:
            if sys.stderr.isatty():
                print(f"\r  {name}: {len(runs) + 1} of {seeds * len(prompts)} ", end="", file=sys.stderr, flush=True)
            runs.append(write(edge, prompt, replace(row, seed=row.seed + seed)))
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser)
    parser.add_argument("--prompts", type=count, default=8, help="openings of documents (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=128, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--seeds", type=count, default=2, help="texts a prompt (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7, help="(default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=0.9, help="(default: %(default)s)")
    parser.add_argument("--budget", type=float, default=Settings.budget, help="of the first row (default: %(default)s)")
    parser.add_argument(
        "--criterion",
        type=Criterion,
        default=Criterion.TYPICAL,
        choices=list(Criterion),
        help="of the first row (default: %(default)s)",
    )
    arguments = parser.parse_args()
    settings = Settings(
        budget=arguments.budget,
        criterion=arguments.criterion,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        max_tokens=arguments.tokens,
    )
    bundle = Bundle.load(arguments.bundle)
    prompts = prompts_of(arguments, bundle.tokenizer, arguments.prompts)
    with local_target("--target", arguments.target) as target:
        print(table(compare(bundle, target.address, settings, prompts, arguments.seeds)))
    print(LEGEND)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
