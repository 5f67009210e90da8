"""What metrics and logs cost a target: the events of a pass, told to nobody and told to everybody who listens.

python -m benchmarks.telemetry_cost
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

from benchmarks.local_target import run_main
from cloud_target.engine.interface import Description
from cloud_target.telemetry.logs import LogObserver, logging_to
from cloud_target.telemetry.metrics import Metrics
from cloud_target.telemetry.observer import NOBODY, Observer, together

ROUNDS, CALLS = 15, 2000
FEEDS = 8


def one_pass(observer: Observer) -> None:
    """What the service tells of a pass over eight feeds, and of the eight answers that it brings."""
    for _ in range(FEEDS):
        observer.room_wanted()
        observer.room_waited(0.0)
    observer.queued(0)
    for _ in range(FEEDS):
        observer.waited(0.003)
    observer.passing()
    observer.passed(FEEDS, 40, 0.012)
    observer.kept(12, 1 << 20, 1 << 30)
    for _ in range(FEEDS):
        observer.answered("acme", "verdict", 5, 1, 0.016)


def microseconds(work: Callable[[Observer], None], observer: Observer) -> float:
    """Median time of one call."""
    times = []
    for _ in range(ROUNDS):
        begun = perf_counter()
        for _ in range(CALLS):
            work(observer)
        times.append(1e6 * (perf_counter() - begun) / CALLS)
    return median(times)


def main() -> int:
    metrics = Metrics(Description("a", "b", "c", 1, "float32"), "0", process=False)
    with logging_to(io.StringIO(), "json", "info"):
        listeners = {"nobody": NOBODY, "logs": LogObserver(), "metrics": metrics}
        listeners["metrics and logs"] = together(metrics, LogObserver())
        for name, observer in listeners.items():
            print(f"{name:18} {microseconds(one_pass, observer):8.1f} us a pass of {FEEDS} feeds")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
