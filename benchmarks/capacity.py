"""How many edges one target carries: `cloud-target bench` with more and more of them, in turns, and the medians.

    python -m benchmarks.capacity --sessions 1 4 16 32 --rounds 3

The last row has a small cache: what it costs when edges evict each other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.local_target import run_main
from cloud_target.options.values import count
from shared.errors import TandemError


def load(sessions: int, memory: str, seconds: float, think_ms: float, more: list[str]) -> dict:
    """The figures of one load test on a target of its own."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "figures.json"
        command = [sys.executable, "-m", "cloud_target", "bench", "--sessions", str(sessions), "--kv-memory", memory]
        command += ["--seconds", str(seconds), "--think-ms", str(think_ms), "--json", str(path), *more]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        if run.returncode:
            raise TandemError(f"`cloud-target bench` failed: {run.stderr.strip()}")
        return json.loads(path.read_text())


def row(sessions: int, memory: str, found: list[dict]) -> str:
    """One line of the table: medians over the rounds."""
    calls, judged, batch, resyncs = (
        median(figures[key] for figures in found)
        for key in ("calls_per_second", "judged_tokens_per_second", "feeds_per_pass", "resyncs")
    )
    p50, p99 = (1e3 * median(f["latency_seconds"]["sprint"][key] for f in found) for key in ("p50", "p99"))
    return (
        f"| {sessions} | {memory} | {calls:.0f} | {judged:.0f} | {p50:.0f} | {p99:.0f} | {batch:.1f} | {resyncs:.0f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sessions", type=count, nargs="+", default=[1, 4, 16, 32], help="edges at once (default: 1 4 16 32)"
    )
    parser.add_argument("--rounds", type=count, default=3, help="of all rows, in turn (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load a row and round (default: %(default)s)")
    parser.add_argument(
        "--think-ms", type=float, default=50.0, help="an edge's time between two calls (default: %(default)s)"
    )
    parser.add_argument(
        "--kv-memory", default="1GiB", metavar="SIZE", help="cache of all rows but the last (default: %(default)s)"
    )
    parser.add_argument("--small", default="12MiB", metavar="SIZE", help="cache of the last row (default: %(default)s)")
    parser.add_argument("more", nargs="*", metavar="-- OPTION", help="options of `cloud-target serve`")
    options = parser.parse_args()
    cells = [*((sessions, options.kv_memory) for sessions in options.sessions), (options.sessions[-1], options.small)]
    found: dict[tuple[int, str], list[dict]] = {cell: [] for cell in cells}
    for number in range(options.rounds):
        for cell in cells:
            print(f"round {number + 1}: {cell[0]} sessions, {cell[1]} for their cache", file=sys.stderr, flush=True)
            found[cell].append(load(*cell, options.seconds, options.think_ms, options.more))
    print("| sessions | cache | calls/s | judged tokens/s | p50, ms | p99, ms | feeds a pass | resyncs |")
    print("|---|---|---|---|---|---|---|---|")
    for cell in cells:
        print(row(*cell, found[cell]))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
