"""What the load generator costs: `cloud-target bench` against a scripted target, which has next to nothing to do.

    python -m benchmarks.load_generator --sessions 8 64 256

As many edges as are given, without time to think, so the figures are the most that this machine's cores can do; both
sides share them. A real target is slower by far: as long as its calls/s stay well below these, the generator is not
what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks.local_target import run_main
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.options.values import count
from cloud_target.server.server import TargetServer

VOCABULARY, CONTEXT = 32, 256


def serve(pipe: Connection, slots: int) -> None:
    """A scripted target in this process; sends its address, and ends with the process."""
    logits = np.random.default_rng(0).normal(size=VOCABULARY).astype(np.float32)

    async def main() -> None:
        server = TargetServer(ScriptedEngine(lambda text: logits, VOCABULARY, slots, CONTEXT), port=0)
        await server.start()
        pipe.send(server.address)
        await asyncio.Event().wait()

    asyncio.run(main())


def load(sessions: int, seconds: float, mix: str) -> dict:
    """The figures of one load test."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    target = context.Process(target=serve, args=(there, sessions), daemon=True)
    target.start()
    try:
        if not here.poll(60):
            raise RuntimeError("the scripted target did not start")
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "figures.json"
            command = [sys.executable, "-m", "cloud_target", "bench", "--address", here.recv(), "--think-ms", "0"]
            command += ["--sessions", str(sessions), "--seconds", str(seconds), "--mix", mix, "--json", str(path)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return json.loads(path.read_text())
    finally:
        target.terminate()
        target.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sessions", type=count, nargs="+", default=[8, 64, 256], help="edges at once (default: 8 64 256)"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="of load a row (default: %(default)s)")
    parser.add_argument(
        "--mixes",
        nargs="+",
        default=["sprint", "cloud"],
        help="what the edges do, see `cloud-target bench` (default: sprint cloud)",
    )
    options = parser.parse_args()
    print(
        f"{'mix':8} {'sessions':>8} {'calls/s':>8} {'tokens/s':>9} {'us of CPU an answer':>20} {'of a core':>10} errors"
    )
    for mix in options.mixes:
        for sessions in options.sessions:
            found = load(sessions, options.seconds, mix)
            tokens = found["judged_tokens_per_second"] + found["written_tokens_per_second"]
            print(
                f"{mix:8} {sessions:8} {found['calls_per_second']:8.0f} {tokens:9.0f} "
                f"{found['generator_cpu_us_per_answer']:20.0f} {found['generator_cpu_share']:10.0%} {found['errors']}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
