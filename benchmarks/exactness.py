"""Does `exact` write the target's own text, token for token? Does it still when the target is killed on the way?

    python -m benchmarks.exactness --prompts 100 --tokens 128 --temperatures 0 0.7 1.0 --seeds 2
    python -m benchmarks.exactness --prompts 10 --kill

Prompts are openings of texts that the target itself writes, so that no corpus is needed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from benchmarks.local_target import TargetProcess, run_main
from benchmarks.prompts import EVERY
from edge_client.bundles.pocket import POCKET
from edge_client.decoding.generation import Device, Settings
from edge_client.target.client import TargetClient
from shared.config import Mode, Sampling
from shared.tokenizer import encode_prompt


def prompts(device: Device, client: TargetClient, count: int) -> Iterator[list[int]]:
    """`count` different prompts of 8 to 40 tokens after the fixed ones."""
    for i in range(count):
        ids = encode_prompt(device.tokenizer, EVERY[i % len(EVERY)])
        length = 8 * (i // len(EVERY) % 5)
        if length:
            settings = Settings(mode=Mode.CLOUD, sampling=Sampling(1.0, 0, 1.0, seed=10_000 + i), max_tokens=length)
            ids = write(device, client, ids, settings)
            if ids[-1] in device.manifest.end_ids:
                ids.pop()
        yield ids


def write(device: Device, client: TargetClient, ids: list[int], settings: Settings, on_token=None) -> list[int]:
    """Prompt and continuation."""
    generation = device.generate(ids, settings, client)
    for count, _ in enumerate(generation):
        if on_token is not None:
            on_token(count)
    return list(generation.text.sequence)


def first_difference(a: list[int], b: list[int]) -> int | None:
    """The first position where two sequences differ, or None."""
    if a == b:
        return None
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=POCKET)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 0.7, 1.0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--dtype", default="float32", help="of the target (default: %(default)s)")
    parser.add_argument("--kill", action="store_true", help="kill and restart the target in the middle of each text")
    arguments = parser.parse_args()

    device = Device.load(arguments.bundle)
    target = TargetProcess(["--dtype", arguments.dtype])
    texts = tokens = differences = 0
    try:
        with TargetClient.connect(target.address) as client:
            everyone = list(prompts(device, client, arguments.prompts))
            port = int(target.address.rpartition(":")[2])

            def kill_halfway(count: int) -> None:
                nonlocal target
                if count == arguments.tokens // 4:
                    target.kill()
                    target = TargetProcess(["--dtype", arguments.dtype], port)

            for temperature in arguments.temperatures:
                for seed in range(arguments.seeds):
                    for number, ids in enumerate(everyone):
                        top_p = 0.9 if 0 < temperature < 1 else 1.0
                        sampling = Sampling(temperature, 0, top_p, seed=seed * 1000 + number)
                        settings = Settings(mode=Mode.CLOUD, sampling=sampling, max_tokens=arguments.tokens)
                        cloud = write(device, client, ids, settings)
                        settings = Settings(mode=Mode.EXACT, sampling=sampling, max_tokens=arguments.tokens)
                        exact = write(device, client, ids, settings, kill_halfway if arguments.kill else None)
                        texts += 1
                        tokens += len(cloud) - len(ids)
                        at = first_difference(cloud, exact)
                        if at is not None:
                            differences += 1
                            print(
                                f"differs: temperature {temperature} seed {sampling.seed} prompt {number} position {at}"
                            )
                        if texts % 10 == 0:
                            print(f"{texts} texts, {tokens} tokens, {differences} differ", file=sys.stderr, flush=True)
    finally:
        target.stop()
    print(f"{texts} texts, {tokens} tokens, {differences} texts differ between exact and cloud")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(run_main(main))
