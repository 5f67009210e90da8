"""Does `exact` write the target's own text, token for token? Does it still when the target is killed on the way?

    python -m benchmarks.exactness --prompts 100 --tokens 128 --temperatures 0 0.7 1.0 --seeds 2
    python -m benchmarks.exactness --prompts 10 --kill

Prompts are openings of texts that the target itself writes, so that no corpus is needed, or of documents.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.local_target import TargetProcess, run_main
from benchmarks.pair import add_pair, prompts_of
from benchmarks.prompts import EVERY
from cloud_target.options.values import count
from edge_client.edge import Edge
from shared.tokenizer import encode_prompt


def prompts(edge: Edge, count: int) -> Iterator[list[int]]:
    """`count` different prompts of 8 to 40 tokens after the fixed ones."""
    for i in range(count):
        ids = encode_prompt(edge.bundle.tokenizer, EVERY[i % len(EVERY)])
        length = 8 * (i // len(EVERY) % 5)
        if length:
            ids = write(edge, ids, mode="cloud", temperature=1, top_p=1, seed=10_000 + i, max_tokens=length)
            if ids[-1] in edge.bundle.manifest.end_ids:
                ids.pop()
        yield ids


def write(edge: Edge, ids: list[int], on_token: Callable[[int], None] | None = None, **options: Any) -> list[int]:
    """Prompt and continuation; `on_token` is told how many tokens came before each."""
    with edge.stream(ids, **options) as stream:
        for count, _ in enumerate(stream):
            if on_token is not None:
                on_token(count)
        return [*ids, *stream.finish().token_ids]


def first_difference(a: list[int], b: list[int]) -> int | None:
    """The first position where two sequences differ, or None."""
    if a == b:
        return None
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair(parser, "instead of those that the target writes")
    parser.add_argument("--prompts", type=count, default=100, help="different ones (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=128, help="most tokens a text (default: %(default)s)")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 0.7, 1.0], help="(default: 0 0.7 1)")
    parser.add_argument(
        "--seeds", type=count, default=2, help="texts a prompt at each temperature (default: %(default)s)"
    )
    parser.add_argument("--dtype", default="float32", help="of the target (default: %(default)s)")
    parser.add_argument("--kill", action="store_true", help="kill and restart the target in the middle of each text")
    arguments = parser.parse_args()

    serve = ["--target", arguments.target, "--dtype", arguments.dtype]
    target = TargetProcess(serve)
    texts = tokens = differences = 0
    try:
        with Edge(target.address, bundle=arguments.bundle, max_tokens=arguments.tokens, on_outage="wait") as edge:
            everyone = list(prompts(edge, arguments.prompts))
            if arguments.documents:
                everyone = prompts_of(arguments, edge.bundle.tokenizer, arguments.prompts)
            port = int(target.address.rpartition(":")[2])

            def kill_halfway(count: int) -> None:
                nonlocal target
                if count == arguments.tokens // 4:
                    target.kill()
                    target = TargetProcess(serve, port)

            for temperature in arguments.temperatures:
                for seed in range(arguments.seeds):
                    for number, ids in enumerate(everyone):
                        top_p = 0.9 if 0 < temperature < 1 else 1.0
                        drawn = {"temperature": temperature, "top_p": top_p, "seed": seed * 1000 + number}
                        cloud = write(edge, ids, mode="cloud", **drawn)
                        exact = write(edge, ids, kill_halfway if arguments.kill else None, mode="exact", **drawn)
                        texts += 1
                        tokens += len(cloud) - len(ids)
                        at = first_difference(cloud, exact)
                        if at is not None:
                            differences += 1
                            print(
                                f"differs: temperature {temperature} seed {drawn['seed']} prompt {number} position {at}"
                            )
                        if texts % 10 == 0:
                            print(f"{texts} texts, {tokens} tokens, {differences} differ", file=sys.stderr, flush=True)
    finally:
        target.stop()
    print(f"{texts} texts, {tokens} tokens, {differences} texts differ between exact and cloud")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(run_main(main))
