"""How many devices a target serves, and 10,000 of them on replicas of it behind the real Envoy.

    python -m benchmarks.fleet
    python -m benchmarks.fleet --quick
    python -m benchmarks.fleet --only envoy --devices 2000 --replicas 1 2
    python -m benchmarks.fleet --only devices --speeds 10 20 40 --per-text-ms 0.2

First the embedded pair writes texts, with passes as long as a large model's, over a home connection; what it asks of
the target, pass by pass, is recorded. Devices that do the same then share one target in simulated time, more and more
of them, until 5 % no longer get their text as fast as it is read: under `sprint`, `exact`, the plain stream, and a
target that speculates by itself.

Then real targets (server, sessions, scheduler) run over an engine whose passes only take their time, each a process,
behind deploy/envoy/envoy.yaml; all devices hold a stream open, and every answer is looked at. Needs the extra `deploy`,
and openssl. A whole run takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.envoy import binary
from benchmarks.fleet import page
from benchmarks.fleet.behind_envoy import Plan, measure
from benchmarks.fleet.device import Device
from benchmarks.fleet.recording import SPRINT, record
from benchmarks.fleet.serving import draft_share, served
from benchmarks.local_target import run_main
from benchmarks.tables import provenance
from cloud_target.options.values import above_zero, count, zero_or_more
from shared.paths import typed_path

USUAL = Device()
_QUICK: dict[str, Any] = {
    "texts": 4,
    "tokens": 64,
    "speeds": [10.0],
    "per_text_ms": [0.0],
    "devices": 400,
    "hurried": 200,
    "replicas": [1, 2],
    "rate": 2.0,
    "seconds": 4.0,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="everything small, in about a minute")
    parser.add_argument("--only", choices=("devices", "envoy"), help="one half of it")
    parser.add_argument("--texts", type=count, default=24, help="recorded of each system (default: %(default)s)")
    parser.add_argument("--tokens", type=count, default=128, help="of each text, at most (default: %(default)s)")
    parser.add_argument("--base-ms", type=above_zero, default=1e3 * USUAL.base, help="of a pass (default: %(default)g)")
    parser.add_argument(
        "--per-token-ms",
        type=zero_or_more,
        default=1e3 * USUAL.per_token,
        help="more for a token in it (default: %(default)g)",
    )
    parser.add_argument(
        "--per-text-ms",
        type=zero_or_more,
        nargs="+",
        default=[0.0, 0.1],
        help="more for a text in it, of the first half (default: 0 0.1)",
    )
    parser.add_argument(
        "--speeds", type=above_zero, nargs="+", default=[10.0, 30.0], help="of readers, tokens/s (default: 10 30)"
    )
    parser.add_argument("--devices", type=count, default=10_000, help="behind Envoy (default: %(default)s)")
    parser.add_argument(
        "--replicas", type=count, nargs="+", default=[1, 2, 4, 8], help="of the target (default: 1 2 4 8)"
    )
    parser.add_argument(
        "--hurried", type=count, default=800, help="devices that ask again at once, for the most (default: %(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=above_zero,
        default=0.25,
        help="of all devices, tokens/s for each replica: with four it is four times this (default: %(default)g)",
    )
    parser.add_argument("--seconds", type=above_zero, default=20.0, help="of each measurement (default: %(default)g)")
    parser.add_argument("--json", type=typed_path, metavar="FILE", help="also write the figures to this file")
    return parser


def _tell(begin: float, line: str) -> None:
    print(f"  {time.monotonic() - begin:4.0f} s  {line}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    if "--quick" in (sys.argv[1:] if arguments is None else arguments):
        parser.set_defaults(**_QUICK)  # what is given beside it counts
    options = parser.parse_args(arguments)
    begin = time.monotonic()

    def tell(line: str) -> None:
        _tell(begin, line)

    if options.only != "devices":
        binary()  # says so before anything is waited for
    device = Device(options.base_ms / 1e3, options.per_token_ms / 1e3)
    recorded = record(options.texts, options.tokens, device.base, tell)
    figures: dict[str, Any] = {"device": asdict(device), "draft_share": draft_share()}
    print(provenance("benchmarks.fleet"))
    if options.only != "envoy":
        devices = [replace(device, per_text=per_text / 1e3) for per_text in options.per_text_ms]
        found = served(recorded, options.speeds, devices, tell)
        figures["served"] = [page.served_figures(one) for one in found]
        print(f"\n{page.devices_words(found, device)}\n\n{page.devices_limit(found)}", flush=True)
        print(f"A step of the draft beside the target is taken to cost {draft_share():.1%} of a pass of the target.")
    if options.only != "devices":
        plan = Plan(options.devices, options.hurried, options.rate, 3.0, options.seconds, device)
        rows = [measure(replicas, plan, recorded[SPRINT], tell) for replicas in options.replicas]
        figures["replicas"] = [page.row_figures(row) for row in rows]
        print(f"\n{page.fleet_words(rows)}\n\n{page.fleet_limit(rows)}")
        print(page.errors_words(rows) or "No call failed.")
        if any(page.wrong(row) for row in rows):
            print("Some answers were not the target's own: the table says how many.", file=sys.stderr)
            return 1
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
