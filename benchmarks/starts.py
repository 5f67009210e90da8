"""How soon does a new device notice what its draft is worth? The share of tokens that it asks about at first.

    cloud-target export --draft cloud_target/models/pocket_target --dtype int8 --out twin
    python -m benchmarks.starts --bundle twin        # the target's own copy, and a verifier that nobody trained
    python -m benchmarks.starts                      # the embedded pair, which was calibrated

One device that knows nothing writes text after text under a promise; each row is about its first tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.local_target import local_target, run_main
from benchmarks.modes import write
from benchmarks.pair import add_pair, prompts_of
from benchmarks.tables import markdown_table, percent
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from shared.config import Criterion

FIRST = (500, 2000)
PROMISES = (
    Settings(criterion=Criterion.TYPICAL, budget=0.01, max_tokens=96),
    Settings(criterion=Criterion.STRICT, budget=0.02, max_tokens=96),
)
HEADS = ("promise", "tokens", "asked %", "calls/token", "off-target %")
_PROMPTS = 40


def start(edge: Edge, prompts: Sequence[list[int]], settings: Settings) -> Iterator[tuple[AuditCounts, int]]:
    """Counts and calls of the texts of a new device, each time that as many tokens as the next of `FIRST` are written.

    Args:
        edge: remembers nothing from before.
        prompts: token ids, in turn.
        settings: of every text; the seed counts up.
    """
    counts, calls, number = AuditCounts(), 0, 0
    for enough in FIRST:
        while counts.shown < enough:
            run = write(edge, prompts[number % len(prompts)], replace(settings, seed=settings.seed + number))
            counts, calls, number = counts + run.counts, calls + run.summary.calls, number + 1
        yield counts, calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser)
    options = parser.parse_args()
    bundle, rows = Bundle.load(options.bundle), []
    prompts = prompts_of(options, bundle.tokenizer, _PROMPTS)
    with local_target("--target", str(options.target), "--threads", "1") as target:
        for settings in PROMISES:
            with Edge(target.address, bundle=bundle, memory=False) as edge:
                for counts, calls in start(edge, prompts, settings):
                    asked, off = percent(counts.ask_rate, 1), percent(counts.rate(settings.criterion))
                    promise = f"{settings.criterion} {100 * settings.budget:g} %"
                    rows.append([promise, str(counts.shown), asked, f"{calls / counts.shown:.3f}", off])
    print(markdown_table(HEADS, rows))
    return 0


if __name__ == "__main__":
    run_main(main)
