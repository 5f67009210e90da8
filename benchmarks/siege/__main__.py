"""What honest devices feel beside 128 hostile connections, and whether all that those take comes back.

A real `cloud-target serve` with TLS and tokens, the embedded target; honest devices that ask for a few tokens at a
time; and strangers without a token, of every kind that there is. Each is a process of its own. A round is: devices
alone, beside the strangers, and alone again when those have left.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import monotonic

from benchmarks.local_target import run_main
from benchmarks.siege.kinds import KINDS, shared_out
from benchmarks.siege.measure import Round, place, rounds
from benchmarks.siege.report import comparison, report
from benchmarks.tables import provenance
from cloud_target.options.values import count
from shared.paths import typed_path

ALL = [kind.name for kind in KINDS]
_EXAMPLES = f"""\
examples:
  python -m benchmarks.siege                              two minutes
  python -m benchmarks.siege --quick                      half a minute, shows directions only
  python -m benchmarks.siege --kind pings --kind silent   of these kinds only: which one is it?
  python -m benchmarks.siege --each --quick               every kind by itself, with all connections: minutes
  python -m benchmarks.siege --json siege.json

kinds: {", ".join(ALL)}

Everything runs on one machine, so that what the strangers take of its processor counts as well. They have the lowest
priority, and the table says how much that was.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.siege",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--connections", type=count, default=128, help="of strangers (default: %(default)s)")
    parser.add_argument("--devices", type=count, default=4, help="honest ones (default: %(default)s)")
    parser.add_argument("--rounds", type=count, default=3, help="of three phases each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase (default: %(default)g)")
    parser.add_argument("--quick", action="store_true", help="one round of 3 seconds a phase")
    parser.add_argument("--kind", action="append", choices=ALL, metavar="KIND", help="only these kinds")
    parser.add_argument("--each", action="store_true", help="each kind by itself, one after the other")
    parser.add_argument("--json", type=typed_path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    number, seconds = (1, 3.0) if options.quick else (options.rounds, options.seconds)
    names = options.kind or ALL
    load, begun = os.getloadavg()[0], monotonic()
    found: dict[str, list[Round]] = {}

    def tell(about: str, what: str) -> None:
        print(f"  {monotonic() - begun:5.1f} s  {about}, {what}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as directory, place(Path(directory), _free_port()) as there:
        for chosen in [[name] for name in names] if options.each else [names]:
            about = ", ".join(chosen) if chosen != ALL else "all kinds"
            kinds = shared_out(options.connections, chosen)
            found[about] = rounds(there, options.devices, kinds, number, seconds, partial(tell, about))
    print(f"{provenance('benchmarks.siege')}; the machine's load before it: {load:.1f}\n")
    print(comparison(found) if options.each else report(found[about]))
    if options.json:
        rows = {about: [asdict(each) for each in of_it] for about, of_it in found.items()}
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(run_main(main))
