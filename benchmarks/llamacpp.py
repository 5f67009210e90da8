"""What a token costs the device beside llama.cpp with the same model: CPU time and wall time, in turns, in one run.

    python -m benchmarks.llamacpp --bundles runs/bundle --gguf runs/SmolLM2-135M-Instruct.Q4_1.gguf
    python -m benchmarks.llamacpp --bundles runs/int4 runs/int8 --gguf runs/model.gguf --threads 2

Each bundle is of the model that the GGUF file holds (`cloud-target gguf`, then `cloud-target export --draft`).
llama.cpp comes with the package xllamacpp, which Tandem itself does not need: pip install xllamacpp
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.files import add_files, write_files
from benchmarks.local_target import run_main
from benchmarks.prompts import EVERY
from benchmarks.tables import markdown_table, provenance
from cloud_target.options.values import count
from edge_client.bundles.bundle import Bundle
from shared.config import Sampling
from shared.errors import InputError
from shared.paths import typed_path
from shared.sampling import Sampler
from shared.tokenizer import encode_prompt

# Writes so many tokens after a prompt, greedily, however a text would end; returns how many.
Writes = Callable[[Sequence[int], int], int]
LEGEND = """\
Greedy. A token of ours: draft, draw and verifier; one of llama.cpp: its model, draw and server. Reading the prompt is
in the figures of both. CPU: of all threads, medians over the texts; beside: over that of llama.cpp."""


@dataclass(frozen=True)
class Row:
    """One way to write: milliseconds a token."""

    name: str
    cpu_ms: float
    wall_ms: float


def llama_cpp(file: Path, context: int, threads: int) -> Writes:
    """By llama.cpp.

    Raises:
        InputError: the package is not installed, or it cannot read the file.
    """
    try:
        xllamacpp: Any = importlib.import_module("xllamacpp")
    except ImportError:
        raise InputError("xllamacpp, which brings llama.cpp, is not installed: pip install xllamacpp") from None
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.verbosity = str(file), context, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise InputError(f"llama.cpp cannot read {file}: {error}") from error

    def write(ids: Sequence[int], tokens: int) -> int:
        asked = {"prompt": list(ids), "n_predict": tokens, "temperature": 0.0, "ignore_eos": True}
        return int(server.handle_completions(asked | {"cache_prompt": False})["usage"]["completion_tokens"])

    return write


def ours(directory: Path, threads: int) -> Writes:
    """The same with a bundle: draft, draw and verifier, as the loop takes a token."""
    bundle = Bundle.load(directory, threads)
    sampling = Sampling(temperature=0)
    sampler = Sampler(sampling)

    def write(ids: Sequence[int], tokens: int) -> int:
        with bundle.models.lend() as models:
            models.draft.rewind(0)
            step = models.draft.feed(list(ids))
            for _ in range(tokens):
                draw = sampler.draw(step.ids, step.logits, models.draft.length, step.log_normaliser, step.every)
                models.verifier.doubt(step, draw, sampling.temperature, 0)
                step = models.draft.feed([draw.token])
        return tokens

    return write


def measure(ways: Mapping[str, Writes], prompts: Sequence[Sequence[int]], tokens: int) -> list[Row]:
    """Every prompt in every way in turn, so that a busy moment of the machine slows all of them down."""
    spans: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for ids in [prompts[0], *prompts]:  # the first time everything is loaded
        for name, write in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            written = write(ids, tokens)
            spans[name].append(
                (1e3 * (time.process_time() - cpu) / written, 1e3 * (time.perf_counter() - wall) / written)
            )
    return [Row(name, *(median(span[which] for span in own[1:]) for which in (0, 1))) for name, own in spans.items()]


def table(rows: Sequence[Row]) -> str:
    """All rows, beside the last, which is llama.cpp's."""
    beside = rows[-1]
    cells = [[row.name, f"{row.cpu_ms:.2f}", f"{row.wall_ms:.2f}", f"{row.cpu_ms / beside.cpu_ms:.2f}"] for row in rows]
    return markdown_table(["", "CPU ms/token", "wall ms/token", "CPU, beside"], cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=typed_path, nargs="+", required=True, metavar="DIR", help="of the same model")
    parser.add_argument("--gguf", type=typed_path, required=True, metavar="FILE", help="that llama.cpp runs")
    parser.add_argument("--threads", type=count, default=1, help="of each (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=128, help="of a text (default: %(default)s)")
    parser.add_argument("--rounds", type=count, default=len(EVERY), help="texts of each (default: %(default)s)")
    add_files(parser, "rows")
    options = parser.parse_args()
    ways = {f"Tandem, {path.name}": ours(path, options.threads) for path in options.bundles}
    tokenizer = Bundle.load(options.bundles[0]).tokenizer
    prompts = [encode_prompt(tokenizer, EVERY[number % len(EVERY)]) for number in range(options.rounds)]
    context = max(map(len, prompts)) + options.tokens + 1
    ways[f"llama.cpp, {options.gguf.name}"] = llama_cpp(options.gguf, context, options.threads)
    rows = measure(ways, prompts, options.tokens)
    told = f"{options.rounds} texts of {options.tokens} tokens each, threads: {options.threads}."
    parts = [table(rows), f"{told} {LEGEND}"]
    print("\n\n".join([provenance("benchmarks.llamacpp"), *parts]))
    write_files(options, "benchmarks.llamacpp", parts, rows)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
