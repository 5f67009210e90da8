"""The first thing to run: a target on loopback, a device that writes with its blessing, and what it cost.

python -m benchmarks.demo
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from benchmarks.local_target import local_target, run_main
from benchmarks.modes import LEGEND, compare, table
from benchmarks.prompts import DIALOGUES, EVERY, STORIES
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.cli.console import Console
from edge_client.edge import Edge
from edge_client.settings import Settings
from shared.config import Criterion


def show_texts(bundle: Bundle, address: str, settings: Settings, console: Console) -> None:
    """A story and a dialogue, each token as it comes."""
    for number, prompt in enumerate((STORIES[0], DIALOGUES[0])):
        with Edge(address, bundle=bundle, memory=False, **vars(settings)) as edge, edge.stream(prompt) as stream:
            if not number:
                print(
                    f"The device writes, and asks {edge.connect().description.name} on {address} only where it doubts. "
                    "The budget: of many tokens at most 5 % may differ from the target's own; of so few, perhaps more."
                )
                console.legend()
            print(f"\n{prompt}", end="", flush=True)
            for token in stream:
                console.show(token)
            console.end(stream.finish())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=count, default=96, help="tokens a text (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the shown texts (default: %(default)s)")
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour tokens by origin (default: %(default)s)",
    )
    arguments = parser.parse_args()
    settings = Settings(seed=arguments.seed, max_tokens=arguments.tokens)

    print("Starting a cloud target on loopback ...", flush=True)
    bundle = Bundle.load()
    with local_target() as target:
        console = Console(sys.stdout, color=arguments.color, notes=sys.stdout)
        show_texts(bundle, target.address, replace(settings, criterion=Criterion.STRICT, budget=0.05), console)
        print(f"\nThe same {len(EVERY)} prompts in every mode, up to {arguments.tokens} tokens each:\n", flush=True)
        print(table(compare(bundle, target.address, settings, EVERY, seeds=1)))
        print(LEGEND)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
