"""Other people's systems beside ours, over the same links in the same run: how fast, for how many bytes, whose text.

    python -m benchmarks.peers --quick
    python -m benchmarks.peers --links lan home far --prompts 20
    python -m benchmarks.peers --bundle BUNDLE --target DIRECTORY --draft DIRECTORY

Ours (`sprint` and `exact`), the plain stream of the cloud, transformers' assisted generation beside the target, and
AutoDraft, each over a relay of its own with the same link. A system that is not installed has a row that says how to
get it, and the run goes on:

    pip install autodraft-sd -c constraints.txt      AutoDraft; it brings some 50 packages, so better into an
                                                     environment of its own, with Tandem's extras edge and export

Both want the draft as a checkpoint. For the embedded draft, and others with 8-bit Llama graphs, it is made from the
graph; for any other give the one that the bundle was made of, by --draft.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.files import add_files, write_files
from benchmarks.local_target import run_main
from benchmarks.network.profiles import PROFILES
from benchmarks.pair import add_pair, prompts_of
from benchmarks.peers.rows import LEGEND, table
from benchmarks.peers.run import compare
from benchmarks.report.paced import PacedTarget
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from shared.errors import InputError
from shared.paths import typed_path

LINKS, QUICK_LINKS = ("lan", "home", "far"), ("home",)
PROMPTS, QUICK_PROMPTS = 8, 2
TOKENS, QUICK_TOKENS = 128, 32


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_pair(parser)
    parser.add_argument("--draft", type=typed_path, help="the draft as a checkpoint (default: made from its graph)")
    parser.add_argument(
        "--quick", action="store_true", help="two short texts over one link, to see that everything works"
    )
    parser.add_argument("--links", nargs="+", choices=PROFILES, help=f"(default: {' '.join(LINKS)})")
    parser.add_argument("--prompts", type=count, help=f"texts of each system over each link (default: {PROMPTS})")
    parser.add_argument("--tokens", type=count, help=f"most tokens a text (default: {TOKENS})")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="a link; texts are left out beyond (default: %(default)g)"
    )
    add_files(parser, "figures")
    options = parser.parse_args()
    if not 0 < options.minutes < float("inf"):
        raise InputError(f"--minutes must be above 0, not {options.minutes:g}")
    links = options.links or (QUICK_LINKS if options.quick else LINKS)
    number = options.prompts or (QUICK_PROMPTS if options.quick else PROMPTS)
    tokens = options.tokens or (QUICK_TOKENS if options.quick else TOKENS)
    openings = prompts_of(options, Bundle.load(options.bundle).tokenizer, number)[:number]
    begin = time.monotonic()

    def tell(words: str) -> None:
        print(f"  {(time.monotonic() - begin) / 60:5.1f} min  {words}", file=sys.stderr, flush=True)

    with PacedTarget(options.target, 0.0) as target:
        rows = compare(
            options.bundle,
            (options.target, target),
            options.draft,
            openings,
            tokens,
            [PROFILES[name] for name in links],
            options.minutes,
            tell,
        )
    parts = [table(rows), LEGEND]
    print("\n\n".join(parts))
    write_files(options, "benchmarks.peers", parts, rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
