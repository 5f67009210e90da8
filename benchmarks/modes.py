"""The same prompts in every mode, and a table of what each cost and gave.

python -m benchmarks.modes --tokens 128 --seeds 3 --temperature 0.7
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.local_target import local_target
from benchmarks.prompts import EVERY
from edge_client.device import POCKET, Device, Settings
from edge_client.record import Summary
from edge_client.target import TargetClient
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.tokenizer import encode_prompt

SCORING_WAIT = 30.0


@dataclass(frozen=True)
class Run:
    """One text written in one mode, and how far the target thinks it is from its own."""

    summary: Summary
    divergence_strict: float
    divergence_typical: float
    target_nll: float


def run(device: Device, client: TargetClient, prompt: str, settings: Settings) -> Run:
    """Write one text. What `local` wrote is shown to the target afterwards, so that it can be compared."""
    ids = encode_prompt(device.tokenizer, prompt)
    generation = device.generate(ids, settings, None if settings.mode is Mode.LOCAL else client)
    for _ in generation:
        pass
    summary = generation.summary
    if settings.mode is not Mode.LOCAL:
        return Run(summary, summary.divergence_strict, summary.divergence_typical, summary.target_nll)
    session = client.session(settings.sampling, Coupling.GUMBEL, device.manifest.end_ids, len(ids))
    try:
        audit = session.audit(generation.text.sequence, SCORING_WAIT)
    finally:
        session.close()
    return Run(summary, fmean(audit.off_strict), fmean(audit.off_typical), fmean(audit.nll))


COLUMNS: tuple[tuple[str, Callable[[Sequence[Run]], str]], ...] = (
    ("tokens/s", lambda runs: f"{1e3 * _total(runs, 'tokens') / _total(runs, 'total_ms'):.0f}"),
    ("calls/token", lambda runs: f"{_total(runs, 'calls') / _total(runs, 'tokens'):.3f}"),
    ("run length", lambda runs: _mean([r.summary.run_length for r in runs], ".1f")),
    ("off typical", lambda runs: f"{100 * fmean(r.divergence_typical for r in runs):.2f} %"),
    ("off strict", lambda runs: f"{100 * fmean(r.divergence_strict for r in runs):.1f} %"),
    ("nll/token", lambda runs: f"{fmean(r.target_nll for r in runs):.3f}"),
    ("B/token up", lambda runs: f"{_total(runs, 'bytes_up') / _total(runs, 'tokens'):.1f}"),
    ("down", lambda runs: f"{_total(runs, 'bytes_down') / _total(runs, 'tokens'):.1f}"),
    ("draft ms", lambda runs: f"{_total(runs, 'draft_ms') / _total(runs, 'tokens'):.2f}"),
    ("verifier", lambda runs: f"{_total(runs, 'verifier_ms') / _total(runs, 'tokens'):.3f}"),
    ("network", lambda runs: f"{_total(runs, 'network_ms') / _total(runs, 'tokens'):.2f}"),
    ("target", lambda runs: f"{_total(runs, 'target_ms') / _total(runs, 'tokens'):.2f}"),
)
LEGEND = (
    "off: tokens that the target's audit calls errors, by each criterion (what `local` wrote is scored afterwards);\n"
    "nll: of the text under the target, nats; B: payload without the prompt; last four: milliseconds per shown token."
)


def _total(runs: Sequence[Run], name: str) -> float:
    return sum(getattr(r.summary, name) for r in runs)


def _mean(values: Sequence[float | None], form: str) -> str:
    values = [value for value in values if value is not None]
    return format(fmean(values), form) if values else "-"


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


def compare(
    device: Device, client: TargetClient, settings: Settings, prompts: Sequence[str], seeds: int
) -> list[tuple[str, list[Run]]]:
    """Every prompt and seed in every mode."""
    rows = []
    for mode in (Mode.SPRINT, Mode.EXACT, Mode.LOCAL, Mode.CLOUD):
        runs = []
        for seed in range(seeds):
            for prompt in prompts:
                if sys.stderr.isatty():
                    print(
                        f"\r  {mode}: {len(runs) + 1} of {seeds * len(prompts)} ", end="", file=sys.stderr, flush=True
                    )
                sampling = replace(settings.sampling, seed=settings.sampling.seed + seed)
                runs.append(run(device, client, prompt, replace(settings, mode=mode, sampling=sampling)))
        rows.append((str(mode), runs))
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=POCKET, help="the edge's bundle (default: the embedded one)")
    parser.add_argument("--tokens", type=int, default=128, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="texts a prompt (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--budget", type=float, default=0.01)
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


if __name__ == "__main__":
    main()
