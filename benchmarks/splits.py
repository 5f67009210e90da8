"""Is the target's own token the same, whatever company its text was read in, and in whatever parts?

    python -m benchmarks.splits --tokens 1000000
    python -m benchmarks.splits --tokens 1000000 --no-second-look     # what rounding would do without it
    python -m benchmarks.splits --tokens 100000 --dtype bfloat16

Every token of some texts is drawn with each text read alone, from its beginning on; and again with all texts read in
parts of any size, in passes with any others, cut back and read once more, lent to other slots, by a target that is
started anew each round. Each round draws with other noise. The draft writes the texts.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from benchmarks.local_target import run_main
from benchmarks.prompts import EVERY
from cloud_target.engine.files import POCKET
from cloud_target.engine.hf.engine import TargetEngine
from cloud_target.engine.hf.model import DTYPES, load_target
from cloud_target.engine.interface import Feed
from cloud_target.options.values import count
from edge_client.edge import Edge
from shared.config import Sampling

TEXTS, LENGTH, TOGETHER = 24, 900, 8
MEMORY = 1 << 29  # bytes
SAMPLINGS = ((0.0, 1.0), (0.7, 0.9), (1.0, 1.0))  # temperature and top-p, in turn


def write_texts() -> list[list[int]]:
    """Texts of `LENGTH` tokens, each of several that the draft wrote."""
    with Edge(temperature=1.0, top_p=0.95, max_tokens=LENGTH) as edge:
        texts = []
        for number in range(TEXTS):
            text: list[int] = []
            while len(text) < LENGTH:
                opening = edge.bundle.encode(EVERY[(number + len(text)) % len(EVERY)])
                text += opening + edge.generate(opening, seed=number + len(text)).token_ids
            texts.append(text[:LENGTH])
    return texts


def alone(engine: TargetEngine, text: list[int], sampling: Sampling) -> list[int]:
    """The own token after each token of a text that is read by itself."""
    own: list[int] = []
    for begin in range(0, len(text), 128):
        part = tuple(text[begin : begin + 128])
        own += engine.forward([Feed(0, begin, part, 0, sampling, text=text)])[0].own.tolist()
    engine.trim(0)
    return own


def in_company(
    engine: TargetEngine,
    texts: list[list[int]],
    sampling: Sampling,
    expected: list[list[int]],
    chance: np.random.Generator,
) -> tuple[int, int]:
    """How many tokens are drawn, and how many are not as expected, with texts read in any parts, together, and partly
    several times."""
    drawn = different = 0
    done, slots = [0] * len(texts), list(range(len(texts)))
    while any(at < len(text) for at, text in zip(done, texts, strict=True)):
        for i, slot in enumerate(slots):
            if chance.random() < 0.02:  # cut back, or lost
                done[i] = int(chance.integers(0, done[i] + 1)) if chance.random() < 0.8 else 0
                engine.trim(slot, done[i])
            elif chance.random() < 0.02 and done[i]:  # lent to another slot
                slots[i] = max(slots) + 1
                engine.copy(slot, slots[i], done[i])
                engine.trim(slot)
        chosen = [i for i, text in enumerate(texts) if done[i] < len(text) and chance.random() < 0.5]
        feeds = []
        for i in chosen:
            end = min(done[i] + int(chance.choice([1, 2, 8, 33, 64, 200])), len(texts[i]))
            feeds.append(Feed(slots[i], done[i], tuple(texts[i][done[i] : end]), 0, sampling, text=texts[i]))
        for i, feed, scores in zip(chosen, feeds, engine.forward(feeds) if feeds else [], strict=True):
            different += int((scores.own != expected[i][feed.start : feed.end]).sum())
            drawn += len(scores.own)
            done[i] = feed.end
    for slot in slots:
        engine.trim(slot)
    return drawn, different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=POCKET, help="whose texts have 900 tokens or more (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=1_000_000, help="that are drawn again (default: %(default)s)")
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="of the target (default: %(default)s)")
    parser.add_argument("--no-second-look", action="store_true", help="let rounding decide what is close")
    options = parser.parse_args()
    chance, texts, begin = np.random.default_rng(1), write_texts(), time.monotonic()
    tokens = different = looks = 0
    while tokens < options.tokens:
        engine = TargetEngine(load_target(options.target, "cpu", options.dtype), memory=MEMORY)
        if options.no_second_look:
            engine.second_look = None
        for first in range(0, TEXTS, TOGETHER):
            some = texts[first : first + TOGETHER]
            temperature, top_p = SAMPLINGS[(first // TOGETHER) % len(SAMPLINGS)]
            sampling = Sampling(temperature, 0, top_p, int(chance.integers(1 << 62)))
            expected = [alone(engine, text, sampling) for text in some]
            drawn, wrong = in_company(engine, some, sampling, expected, chance)
            tokens, different = tokens + drawn, different + wrong
        looks += engine.looks
        minutes = (time.monotonic() - begin) / 60
        print(f"  {minutes:5.1f} min  {tokens:,} tokens, {different} differ", file=sys.stderr, flush=True)
    print(
        f"{options.dtype}: {tokens:,} tokens drawn again, {different} differ; a text was read once more {looks:,} times"
    )
    return 0


if __name__ == "__main__":
    run_main(main)
