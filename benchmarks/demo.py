"""The first thing to run: a target on loopback, a device that writes with its blessing, and what it cost.

python -m benchmarks.demo
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.local_target import local_target
from benchmarks.modes import LEGEND, compare, table
from benchmarks.prompts import DIALOGUES, EVERY, STORIES
from edge_client.console import Console
from edge_client.device import Device, Settings
from edge_client.target import TargetClient
from shared.config import Sampling
from shared.tokenizer import encode_prompt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=96, help="tokens a text (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the shown texts (default: %(default)s)")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    arguments = parser.parse_args()
    settings = Settings(sampling=Sampling(seed=arguments.seed), max_tokens=arguments.tokens)

    print("Starting a cloud target on loopback ...", flush=True)
    with local_target() as target, TargetClient.connect(target.address) as client:
        device = Device.load()
        console = Console(sys.stdout, color=arguments.color)
        print(f"The device writes; {client.description.name} on {target.address} is asked only where it has to be.")
        console.legend()
        for prompt in (STORIES[0], DIALOGUES[0]):
            print()
            console.prompt(prompt)
            generation = device.generate(encode_prompt(device.tokenizer, prompt), settings, client)
            for shown in generation:
                console.show(shown)
            console.end(generation)
        print(f"\nThe same {len(EVERY)} prompts in every mode, up to {arguments.tokens} tokens each:\n")
        print(table(compare(device, client, settings, EVERY, seeds=1)))
        print(LEGEND)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print()
        sys.exit(130)
