"""The report: how fast every mode writes over every link, what that costs, and other ways of doing it, in one run.

    python -m benchmarks
    python -m benchmarks --quick
    python -m benchmarks --documents stories.txt.xz dialogues.txt.xz --prompts 40 --simulated 20 --minutes 90

Writes a page with plots, and all figures as JSON. docs/benchmarks.md is what it wrote last.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.local_target import run_main
from benchmarks.network.profiles import PROFILES
from benchmarks.pair import add_pair, prompts_of
from benchmarks.report.files import report_files, write_files
from benchmarks.report.page import page
from benchmarks.report.plan import QUICK, Plan
from benchmarks.report.prompts import alternately
from benchmarks.report.run import Run
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.settings import Settings
from shared.errors import InputError
from shared.paths import typed_path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def plan_of(options: argparse.Namespace) -> Plan:
    """The whole plan or the quick one, with what is given.

    Raises:
        InputError: a number of minutes that is none.
    """
    names = ("prompts", "simulated", "tokens", "minutes", "links")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    plan = replace(QUICK if options.quick else Plan(), **given)
    if not 0 < plan.minutes < float("inf"):
        raise InputError(f"--minutes must be above 0, not {plan.minutes:g}")
    return plan


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_pair(parser)
    parser.add_argument(
        "--quick", action="store_true", help="few texts and links, in a few minutes, for directions only"
    )
    parser.add_argument("--prompts", type=count, help=f"texts of each mode over each link (default: {Plan.prompts})")
    parser.add_argument(
        "--simulated", type=count, help=f"the same, with the simulated step (default: {Plan.simulated})"
    )
    parser.add_argument("--tokens", type=count, help=f"most tokens a text (default: {Plan.tokens})")
    parser.add_argument(
        "--minutes", type=float, help=f"leave out texts where it would take longer (default: {Plan.minutes:g})"
    )
    parser.add_argument("--links", nargs="+", choices=PROFILES, help=f"(default: {' '.join(Plan.links)})")
    parser.add_argument("--temperature", type=float, default=0.7, help="(default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=0.9, help="(default: %(default)s)")
    parser.add_argument(
        "--out", type=typed_path, help="folder to write into (default: docs, and with --quick a temporary one)"
    )
    options = parser.parse_args()
    plan, base = plan_of(options), Settings(temperature=options.temperature, top_p=options.top_p)
    openings = prompts_of(options, Bundle.load(options.bundle).tokenizer, -(-4 * plan.prompts // 3))
    turns = alternately(openings, max(len(options.documents), 1))
    begin = time.monotonic()

    def tell(words: str) -> None:
        print(f"  {(time.monotonic() - begin) / 60:5.1f} min  {words}", file=sys.stderr, flush=True)

    results = Run(options.bundle, options.target, turns, base, plan, tell).measure()
    sources = ", ".join(path.name for path in options.documents) or "`benchmarks/prompts.py`"
    out = options.out or (Path(tempfile.mkdtemp(prefix="tandem-benchmarks-")) if options.quick else DOCS)
    write_files(out, report_files(results, page(results, plan, base, sources)))
    print(out / "benchmarks.md")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
