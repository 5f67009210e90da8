"""What serving many sessions at once gains: judged tokens per second, against the same work one call at a time.

python -m benchmarks.batching                       # the pocket target on this CPU
python -m benchmarks.batching --dtype bfloat16 --sessions 16 --rounds 5

Calls are feeds as edges cause them: texts of 40 to 600 tokens that the target wrote are in the cache, a call brings 1
to 16 tokens that are all judged, and three in ten are continuations of one token. "bare" is the forward pass alone over
the same tokens, without scoring, scheduling and waiting. Figures are medians over rounds, in which all ways take turns.

Then the target writes on by itself, in every session: a token a pass, and with guesses, of which a session always has
16 in a line. Each is right with the probability with which the pocket draft agrees with its target.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from random import Random
from statistics import median, quantiles
from time import perf_counter

from benchmarks.local_target import run_main
from benchmarks.prompts import EVERY
from benchmarks.tables import markdown_table, provenance
from cloud_target.engine.hf.passes import Text
from cloud_target.options.values import count
from shared.errors import InputError

SHORTEST, LONGEST = 40, 600  # tokens of a text in the cache
NEW, CONTINUING = 16, 0.3  # most new tokens of a call, and the share of calls with one token
PREFILL = 800  # tokens of a background prompt
WRITTEN, GUESSED, RIGHT = 32, 16, 0.83  # tokens written on, guesses ahead, and how often one is right


def write(engine, openings: Sequence[Sequence[int]], tokens: int) -> list[int]:
    """So many tokens that the target writes after some openings, one text behind the other.

    It is as sure of its own text as of a real one, and that decides what drawing a token costs.
    """
    from cloud_target.engine.interface import Feed, all_scores
    from shared.config import Sampling

    texts, length = [list(opening) for opening in openings], min(tokens // len(openings) + 1, engine.context)
    while min(map(len, texts)) < length:
        feeds = [
            Feed(i, at, tuple(text[at:]), len(text) - at - 1, Sampling(seed=i))
            for i, text in enumerate(texts)
            if len(text) < length
            for at in [len(text) - 1 if len(text) > len(openings[i]) else 0]
        ]
        for feed, scores in zip(feeds, all_scores(engine.forward(feeds)), strict=True):
            texts[feed.slot].append(int(scores.own[-1]))
    for slot in range(len(texts)):
        engine.trim(slot)
    return [token for text in texts for token in text]


def make_calls(sessions: int, calls: int, words: Sequence[int], seed: int = 0):
    """For each session the tokens in its cache and its feeds, in order; every text is a piece of `words`."""
    from cloud_target.engine.interface import Feed
    from shared.config import Sampling

    rng, texts = Random(seed), []
    longest = LONGEST + calls * NEW
    words = [*words] * (1 + longest // len(words))
    for slot in range(sessions):
        length = rng.randint(SHORTEST, LONGEST)
        begin = rng.randrange(len(words) - longest + 1)
        text, feeds = words[begin : begin + length], []
        for _ in range(calls):
            new = 1 if rng.random() < CONTINUING else rng.randint(1, NEW)
            tokens = tuple(words[begin + length : begin + length + new])
            feeds.append(Feed(slot, length, tokens, 0, Sampling(seed=slot)))
            length += new
        texts.append((text, feeds))
    return texts


def fill(engine, texts) -> None:
    """Read all texts into the cache, as far as the first call builds on them."""
    for slot, (text, _) in enumerate(texts):
        engine.passes.run([Text(slot, 0, text)], [1])


def bare(engine, texts) -> float:
    """Seconds of the forward passes alone, each over one call of every session."""
    begun = perf_counter()
    for feeds in zip(*(feeds for _, feeds in texts), strict=True):
        engine.passes.run(
            [Text(feed.slot, feed.start, feed.tokens) for feed in feeds], [len(feed.tokens) for feed in feeds]
        )
    return perf_counter() - begun


async def serial(scheduler, texts) -> float:
    """Seconds for all calls one at a time, a call of each session in turn."""
    begun = perf_counter()
    for feeds in zip(*(feeds for _, feeds in texts), strict=True):
        for feed in feeds:
            await scheduler.run(feed)
    return perf_counter() - begun


async def together(scheduler, texts) -> float:
    """Seconds for all calls when each session makes its next as soon as it has its answer."""

    async def session(feeds) -> None:
        for feed in feeds:
            await scheduler.run(feed)

    begun = perf_counter()
    await asyncio.gather(*(session(feeds) for _, feeds in texts))
    return perf_counter() - begun


async def throughput(engine, words: Sequence[int], sessions: int, calls: int, rounds: int) -> list[str]:
    """A row of the first table."""
    from cloud_target.scheduling.scheduler import Scheduler

    texts = make_calls(sessions, calls, words)
    tokens = sum(len(feed.tokens) for _, feeds in texts for feed in feeds)
    fill(engine, texts)
    scheduler = Scheduler(engine)
    times: dict[str, list[float]] = {"serial": [], "together": [], "bare": []}
    await together(scheduler, texts)
    for _ in range(rounds):
        times["serial"].append(await serial(scheduler, texts))
        times["together"].append(await together(scheduler, texts))
        times["bare"].append(bare(engine, texts))
    await scheduler.close()
    for slot in range(sessions):
        engine.trim(slot)
    rates = {way: tokens / median(spans) for way, spans in times.items()}
    gains = [one / many for one, many in zip(times["serial"], times["together"], strict=True)]
    shares = [least / whole for least, whole in zip(times["bare"], times["together"], strict=True)]
    return [
        str(sessions),
        *(f"{rates[way]:.0f}" for way in ("serial", "together", "bare")),
        f"{median(gains):.2f}",
        f"{median(shares):.2f}",
    ]


async def write_on(scheduler, start: int, slot: int, last: int, known: Sequence[int], rng: Random) -> list[int]:
    """`WRITTEN` tokens of the target's own in one session, with guesses where it is `known` what they will be."""
    from cloud_target.engine.interface import Feed
    from shared.config import Sampling

    written: list[int] = []
    while len(written) < WRITTEN:
        ahead = known[len(written) : min(len(written) + GUESSED, WRITTEN - 1)]
        guesses = [token if rng.random() < RIGHT else token ^ 1 for token in ahead]
        tokens = (written[-1] if written else last, *guesses)
        feed = Feed(slot, start + len(written), tokens, 0, Sampling(seed=slot), spare=len(guesses))
        own = (await scheduler.run(feed)).own.tolist()
        stands = 0
        while stands < len(own) - 1 and own[stands] == guesses[stands]:
            stands += 1
        written += own[: stands + 1]
    return written


async def writing(engine, words: Sequence[int], sessions: int, rounds: int) -> list[str]:
    """A row of the table about writing on."""
    from cloud_target.scheduling.scheduler import Scheduler

    fill(engine, texts := make_calls(sessions, 1, words))
    scheduler = Scheduler(engine)
    times: dict[str, list[float]] = {"alone": [], "guessed": []}

    async def all_of_them(known: Sequence[Sequence[int]]) -> list[list[int]]:
        return await asyncio.gather(
            *(
                write_on(scheduler, len(text) - 1, slot, text[-1], known[slot], Random(slot))
                for slot, (text, _) in enumerate(texts)
            )
        )

    nothing: list[list[int]] = [[] for _ in texts]
    known = await all_of_them(nothing)
    for _ in range(rounds):
        for way, given in (("alone", nothing), ("guessed", known)):
            begun = perf_counter()
            await all_of_them(given)
            times[way].append(perf_counter() - begun)
    await scheduler.close()
    for slot in range(sessions):
        engine.trim(slot)
    rates = {way: sessions * WRITTEN / median(spans) for way, spans in times.items()}
    gains = [one / other for one, other in zip(times["alone"], times["guessed"], strict=True)]
    return [str(sessions), *(f"{rates[way]:.0f}" for way in ("alone", "guessed")), f"{median(gains):.2f}"]


async def latency(engine, words: Sequence[int], calls: int, rounds: int) -> list[list[str]]:
    """The rows of the second table: one session's calls, alone and under prompts that are being read."""
    from cloud_target.engine.interface import Feed
    from cloud_target.scheduling.scheduler import Scheduler
    from shared.config import Sampling

    [(_, feeds)] = texts = make_calls(1, calls, words, seed=1)
    feeds = [feed for feed in feeds if feed.end < engine.context]
    scheduler, rng = Scheduler(engine), Random(2)
    prompt = words[: min(PREFILL, engine.context)]
    fill(engine, texts)
    running, read = False, 0

    async def background(slot: int) -> None:
        nonlocal read
        while running:
            await scheduler.run(Feed(slot, 0, tuple(prompt), len(prompt) - 1, Sampling()), "others")
            read += len(prompt)

    async def short_calls() -> list[float]:
        times = []
        for feed in feeds:
            await asyncio.sleep(rng.uniform(0, 0.02))  # an edge that thinks arrives at any time
            begun = perf_counter()
            await scheduler.run(feed, "short")
            times.append(1e3 * (perf_counter() - begun))
        return times

    await short_calls()
    found: dict[str, list[tuple[float, ...]]] = {"alone": [], "under prefills": []}
    for _ in range(rounds):
        times = await short_calls()
        base = median(times)
        found["alone"].append(figures(times, base, 0.0))
        running, read, begun = True, 0, perf_counter()
        tasks = [asyncio.create_task(background(slot)) for slot in (1, 2)]
        times = await short_calls()
        found["under prefills"].append(figures(times, base, read / (perf_counter() - begun)))
        running = False
        await asyncio.gather(*tasks)
    await scheduler.close()
    for slot in range(3):
        engine.trim(slot)
    return [
        [
            name,
            *(
                f"{median(column):.{digits}f}"
                for column, digits in zip(zip(*rows, strict=True), (1, 1, 1, 2, 0), strict=True)
            ),
        ]
        for name, rows in found.items()
    ]


def figures(times: Sequence[float], base: float, prefilled: float) -> tuple[float, ...]:
    """Of calls that took so many milliseconds p50, p90, p99, and p99 over `base`; then what was read beside."""
    parts = quantiles(times, n=100)
    return median(times), parts[89], parts[98], parts[98] / base, prefilled


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="pocket", help="see cloud-target serve (default: %(default)s)")
    parser.add_argument(
        "--device", default="cpu", choices=("auto", "cpu", "cuda"), help="of the target (default: %(default)s)"
    )
    parser.add_argument(
        "--dtype",
        nargs="+",
        default=["float32", "bfloat16"],
        help="of the target, a table each (default: float32 bfloat16)",
    )
    parser.add_argument(
        "--sessions", type=count, nargs="+", default=[1, 4, 16, 64], help="at once, a row each (default: 1 4 16 64)"
    )
    parser.add_argument("--calls", type=count, default=8, help="calls of a session in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=count, default=5, help="over which medians are taken (default: %(default)s)")
    parser.add_argument("--latency-calls", type=count, default=150, help="short calls a round (default: %(default)s)")
    parser.add_argument(
        "--written", type=count, default=6000, help="tokens that the target writes first (default: %(default)s)"
    )
    parser.add_argument("--threads", type=count, help="CPU threads (default: one a core)")
    arguments = parser.parse_args()
    return run(arguments)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the tables."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `cloud-target serve` does
    import torch

    from cloud_target.engine.hf.engine import TargetEngine
    from cloud_target.engine.hf.model import load_target

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for dtype in arguments.dtype:
        target = load_target(arguments.target, arguments.device, dtype)
        engine = TargetEngine(target)
        if LONGEST + arguments.calls * NEW > engine.context:
            raise InputError(
                f"{arguments.calls} calls do not fit in the context of {engine.context} tokens; ask for fewer --calls"
            )
        words = write(engine, [target.tokenizer.encode(prompt).ids for prompt in EVERY], arguments.written)
        print(f"\n{engine.description.name}, {dtype}, {torch.get_num_threads()} threads\n", flush=True)
        rows: list[Sequence[str]] = [
            asyncio.run(throughput(engine, words, sessions, arguments.calls, arguments.rounds))
            for sessions in arguments.sessions
        ]
        heads = ["sessions", "serial tokens/s", "together", "bare passes", "together / serial", "bare time / together"]
        print(markdown_table(heads, rows), flush=True)
        rows = [asyncio.run(writing(engine, words, sessions, arguments.rounds)) for sessions in arguments.sessions]
        heads = ["sessions", "written tokens/s", "with guesses", "with / without"]
        print("\n" + markdown_table(heads, rows), flush=True)
        heads = ["a short call, ms", "p50", "p90", "p99", "p99 / p50 alone", "prefill tokens/s beside"]
        print(
            "\n"
            + markdown_table(heads, asyncio.run(latency(engine, words, arguments.latency_calls, arguments.rounds))),
            flush=True,
        )
    print(f"\n{provenance('benchmarks.batching')}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
