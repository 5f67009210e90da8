"""Would several texts at once be faster if one run of the draft read the next token of all of them?

    python -m benchmarks.leaves
    python -m benchmarks.leaves --shape 512x8x1408 1024x12x2816

Today each text has a buffer of its own and its own runs, on as many threads as there are cores. The other way is all
texts side by side in one buffer, in which one run reads a leaf of each. Microseconds a token, medians, without what the
other way would also take: that texts wait for each other before each run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.edge_step import random_bundle
from benchmarks.local_target import run_main
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from edge_client.bundles.pocket import POCKET
from edge_client.inference.draft import Draft, Leaf

LENGTH, CORES, STEPS, ROUNDS = 96, 2, 20, 5


def text(number: int, length: int) -> list[int]:
    return [(7 * i + number) % 4000 for i in range(length)]


def microseconds(work: Callable[[], None], texts: int) -> float:
    """Of a token, where `work` writes `STEPS` tokens of each text."""
    spans = []
    for _ in range(ROUNDS):
        begin = perf_counter()
        work()
        spans.append(perf_counter() - begin)
    return 1e6 * median(spans) / STEPS / texts


def apart(place: Path, texts: int) -> float:
    """Each text by itself, the texts shared out among `CORES` threads."""
    bundle = Bundle.load(place, 1)
    with ExitStack() as stack, ThreadPoolExecutor(CORES) as threads:
        drafts = [stack.enter_context(bundle.models.lend()).draft for _ in range(texts)]
        for number, draft in enumerate(drafts):
            draft.feed(text(number, LENGTH))

        def write(some: list[Draft]) -> None:
            for step in range(STEPS):
                for draft in some:
                    draft.feed([step])
            for draft in some:
                draft.rewind(LENGTH)

        def write_all() -> None:
            list(threads.map(write, [drafts[i::CORES] for i in range(CORES)]))

        return microseconds(write_all, texts)


def together(place: Path, texts: int, threads: int) -> float:
    """A leaf of each text in one run, over a buffer that holds as many tokens as all texts have."""
    with Bundle.load(place, threads).models.lend() as models:
        draft, leaves = models.draft, [Leaf(number, -1) for number in range(texts)]
        draft.feed(text(0, LENGTH * texts))

        def write() -> None:
            for _ in range(STEPS):
                draft.grow(leaves)
                draft.keep([], [])

        return microseconds(write, texts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=count, default=8, help=f"of {LENGTH} tokens each (default: %(default)s)")
    parser.add_argument("--shape", nargs="+", default=[], help="also random drafts: HIDDENxLAYERSxFEED_FORWARD")
    options = parser.parse_args()
    print(f"{'µs a token':24}{'MB':>8}{'apart':>10}{'together':>10}{'on 2 threads':>14}{'gain':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        places = {"pocket": POCKET}
        for shape in options.shape:
            places[shape] = random_bundle(shape, "int8", POCKET / "tokenizer.json", Path(scratch))
        for name, place in places.items():
            one, own = apart(place, options.texts), together(place, options.texts, 1)
            both = together(place, options.texts, CORES)
            size = (place / "draft.onnx").stat().st_size / 1e6
            print(f"{name:24}{size:8.1f}{one:10.0f}{own:10.0f}{both:14.0f}{one / min(own, both):8.2f}", flush=True)
    return 0


if __name__ == "__main__":
    run_main(main)
