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
from edge_client.cli.console import Console
from edge_client.decoding.generation import Device, Settings
from edge_client.target.client import TargetClient
from shared.config import Criterion, Sampling
from shared.tokenizer import encode_prompt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=96, help="tokens a text (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the shown texts (default: %(default)s)")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    arguments = parser.parse_args()
    settings = Settings(sampling=Sampling(seed=arguments.seed), max_tokens=arguments.tokens)
    strict = replace(settings, criterion=Criterion.STRICT, budget=0.05)

    print("Starting a cloud target on loopback ...", flush=True)
    with local_target() as target, TargetClient.connect(target.address) as client:
        device = Device.load()
        console = Console(sys.stdout, color=arguments.color, notes=sys.stdout)
        print(
            f"The device writes, and asks {client.description.name} on {target.address} only where it doubts. "
            "The budget: at most 5 % of the tokens may be others than the target's own."
        )
        console.legend()
        for prompt in (STORIES[0], DIALOGUES[0]):
            print(f"\n{prompt}", end="", flush=True)
            generation = device.generate(encode_prompt(device.tokenizer, prompt), strict, client)
            for shown in generation:
                console.show(shown)
            console.end(generation)
        print(f"\nThe same {len(EVERY)} prompts in every mode, up to {arguments.tokens} tokens each:\n", flush=True)
        print(table(compare(device, client, settings, EVERY, seeds=1)))
        print(LEGEND)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
