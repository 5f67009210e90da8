"""A network in a box: how a link of each kind behaves, or one to try things over.

    python -m benchmarks.network
    python -m benchmarks.network mobile --target 127.0.0.1:50051 --port 50052

Without a link's name, the round trips that each kind really has are measured, through the relay, which delays a TCP
stream and needs no rights, and through the tunnel, which delays and loses packets between two network namespaces and
needs root. With a name, a relay stands before the target until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import threading
from collections.abc import Sequence

from benchmarks.files import add_files, write_files
from benchmarks.local_target import run_main
from benchmarks.network.ping import Echo, round_trips
from benchmarks.network.profiles import PROFILES, Profile
from benchmarks.network.relay import Relay
from benchmarks.network.tunnel import Tunnel, why_not
from benchmarks.tables import markdown_table
from cloud_target.options import values
from shared.addresses import parse_address

_HEADER = ["link", "over", "meant, ms", "median", "least", "95th per cent", "stands for"]


def through_relay(profile: Profile, pings: int) -> list[float]:
    """Round trips over TCP through the relay, seconds."""
    with Echo("127.0.0.1") as echo, Relay(profile, f"127.0.0.1:{echo.port}") as relay:
        return round_trips(*parse_address(relay.address), pings)


def through_tunnel(profile: Profile, pings: int) -> list[float]:
    """Round trips over TCP between two namespaces, seconds."""
    with Tunnel(profile) as tunnel, tunnel.cloud.run(lambda: Echo(tunnel.cloud_address)) as echo:
        return tunnel.device.run(lambda: round_trips(tunnel.cloud_address, echo.port, pings))


def _row(profile: Profile, over: str, times: Sequence[float]) -> list[str]:
    milliseconds = sorted(1e3 * time for time in times)
    late = milliseconds[min(len(milliseconds) - 1, round(0.95 * len(milliseconds)))]
    meant = f"{1e3 * profile.round_trip:g}" + (f" ± {1e3 * profile.jitter:g}" if profile.jitter else "")
    figures = (f"{value:.2f}" for value in (statistics.median(milliseconds), milliseconds[0], late))
    return [profile.name, over, meant, *figures, profile.words]


def measure(pings: int) -> str:
    """The table of all links; says on the way which one is being measured."""
    obstacle = why_not()
    rows = []
    for profile in PROFILES.values():
        print(f"  {profile.name} ...", file=sys.stderr, flush=True)
        rows.append(_row(profile, "relay", through_relay(profile, pings)))
        if obstacle is None:
            rows.append(_row(profile, "tunnel", through_tunnel(profile, pings)))
    table = markdown_table(_HEADER, rows)
    return table if obstacle is None else f"{table}\n\nThere is no tunnel here: {obstacle}."


def stand_before(profile: Profile, target: str, port: int) -> None:
    """Relay to the target until Ctrl-C."""
    with Relay(profile, target, port) as relay:
        print(f"{relay.address} is {target} over {profile.words}; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.network", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("link", nargs="?", choices=PROFILES, help="to stand before a target")
    parser.add_argument("--target", metavar="HOST:PORT", default="127.0.0.1:50051", help="(default: %(default)s)")
    parser.add_argument("--port", type=values.port, default=0, help="to listen on (default: a free one)")
    parser.add_argument("--pings", type=values.count, default=200, help="messages a link (default: %(default)s)")
    add_files(parser)
    options = parser.parse_args()
    if options.link:
        stand_before(PROFILES[options.link], options.target, options.port)
        return 0
    table = measure(options.pings)
    print(table)
    write_files(options, "benchmarks.network", [table])
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
