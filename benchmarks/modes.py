"""The same prompts in every mode, and a table of what each cost and gave.

python -m benchmarks.modes --tokens 128 --seeds 3 --temperature 0.7
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.local_target import local_target, run_main
from benchmarks.prompts import EVERY
from edge_client.bundles.pocket import POCKET
from edge_client.decoding.generation import Device, Settings
from edge_client.decoding.record import Summary
from edge_client.promise.budget import Budget
from edge_client.target.client import TargetClient
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.errors import TargetUnavailable
from shared.tokenizer import encode_prompt

SCORING_WAIT = 30.0


@dataclass(frozen=True)
class Run:
    """One text written in one mode, and how far the target thinks it is from its own.

    Attributes:
        summary: of the run.
        known: tokens shown that the target has seen.
        off_strict, off_typical: of them, errors by each criterion.
        nll: of them, summed, nats.
        ids: the continuation's token ids.
        warnings: what the edge would have told its user.
    """

    summary: Summary
    known: int
    off_strict: int
    off_typical: int
    nll: float
    ids: list[int]
    warnings: list[str]

    def off(self, criterion: Criterion) -> int:
        """Errors by one criterion."""
        return self.off_strict if criterion is Criterion.STRICT else self.off_typical


def run(device: Device, client: TargetClient, prompt: str, settings: Settings, budget: Budget | None = None) -> Run:
    """Write one text, as `write` does."""
    return write(device, client, encode_prompt(device.tokenizer, prompt), settings, budget)


def write(
    device: Device, client: TargetClient, ids: Sequence[int], settings: Settings, budget: Budget | None = None
) -> Run:
    """Write one text. What `local` wrote is shown to the target afterwards, so that it can be compared.

    Args:
        ids: the prompt.
        budget: a controller that is carried from text to text; None for one of its own.

    Raises:
        TandemError: as `Device.generate` does; also if the target does not score a text in time.
    """
    is_local = settings.mode is Mode.LOCAL
    generation = device.generate(list(ids), settings, None if is_local else client, budget)
    for _ in generation:
        pass
    s, written = generation.summary, (generation.text.continuation, generation.warnings)
    if not is_local:
        return Run(s, s.known, s.off_strict, s.off_typical, s.known * (s.target_nll or 0.0), *written)
    with client.session(settings.sampling, Coupling.GUMBEL, device.manifest.end_ids, len(ids)) as session:
        audit = session.audit(generation.text.sequence, SCORING_WAIT)
    if audit is None:
        raise TargetUnavailable(f"the target did not score a text within {SCORING_WAIT:.0f} seconds; is it overloaded?")
    return Run(s, len(audit), sum(audit.off_strict), sum(audit.off_typical), sum(audit.nll), *written)


def _per_token(name: str, form: str) -> Callable[[Sequence[Run]], str]:
    return lambda runs: format(_total(runs, name) / _total(runs, "tokens"), form)


def _per_known(name: str, form: str, scale: float = 1.0) -> Callable[[Sequence[Run]], str]:
    def cell(runs: Sequence[Run]) -> str:
        known = sum(r.known for r in runs)
        return format(scale * sum(getattr(r, name) for r in runs) / known, form) if known else "-"

    return cell


def _run_length(runs: Sequence[Run]) -> str:
    calls = _total(runs, "calls")
    return f"{_total(runs, 'accepted') / calls:.1f}" if calls and _total(runs, "accepted") else "-"


def _total(runs: Sequence[Run], name: str) -> float:
    return sum(getattr(r.summary, name) for r in runs)


# All rates are of sums over all texts, so that a long text counts for more than a short one.
COLUMNS: tuple[tuple[str, Callable[[Sequence[Run]], str]], ...] = (
    ("tokens/s", lambda runs: f"{1e3 * _total(runs, 'tokens') / _total(runs, 'total_ms'):.0f}"),
    ("calls/token", _per_token("calls", ".3f")),
    ("run length", _run_length),
    ("typical %", _per_known("off_typical", ".2f", 100)),
    ("strict %", _per_known("off_strict", ".1f", 100)),
    ("nll", _per_known("nll", ".3f")),
    ("B up", _per_token("bytes_up", ".1f")),
    ("B down", _per_token("bytes_down", ".1f")),
    ("draft ms", _per_token("draft_ms", ".2f")),
    ("verifier", _per_token("verifier_ms", ".3f")),
    ("network", _per_token("network_ms", ".2f")),
    ("target", _per_token("target_ms", ".2f")),
)
LEGEND = """\
typical %, strict %: tokens off-target by each criterion, as the target audited them (what `local` wrote is scored
afterwards); nll: of the text under the target, nats a token; B: payload a token, without the prompt; the last four:
milliseconds a token. All on one machine, so there is no link to wait for."""


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
    device: Device, client: TargetClient, settings: Settings, prompts: Sequence[str], seeds: int
) -> list[tuple[str, list[Run]]]:
    """Every prompt and seed in every row of `rows_of`; a row's budget is carried from text to text, as on a device."""
    rows = []
    for name, row in rows_of(settings):
        runs: list[Run] = []
        budget = device.budget(row, client)
        for seed in range(seeds):
            for prompt in prompts:
                if sys.stderr.isatty():
                    print(
                        f"\r  {name}: {len(runs) + 1} of {seeds * len(prompts)} ", end="", file=sys.stderr, flush=True
                    )
                sampling = replace(row.sampling, seed=row.sampling.seed + seed)
                runs.append(run(device, client, prompt, replace(row, sampling=sampling), budget))
        rows.append((name, runs))
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=POCKET, help="the edge's bundle (default: the embedded one)")
    parser.add_argument("--tokens", type=int, default=128, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="texts a prompt (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--budget", type=float, default=Settings.budget)
    parser.add_argument("--criterion", type=Criterion, default=Criterion.TYPICAL, choices=list(Criterion))
    arguments = parser.parse_args()
    settings = Settings(
        budget=arguments.budget,
        criterion=arguments.criterion,
        sampling=Sampling(arguments.temperature, 0, arguments.top_p),
        max_tokens=arguments.tokens,
    )
    device = Device.load(arguments.bundle)
    with local_target() as target, TargetClient.connect(target.address) as client:
        print(table(compare(device, client, settings, EVERY, arguments.seeds)))
    print(LEGEND)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
