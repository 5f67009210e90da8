"""The first half of the benchmark: devices that one target serves, by system, speed and device."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.controlled import FIGURES
from benchmarks.fleet.capacity import Load, load, most_devices
from benchmarks.fleet.device import Device
from benchmarks.fleet.recording import SYSTEMS
from benchmarks.fleet.traces import Trace, speculated, streamed
from benchmarks.report.plan import TYPICAL_LINK
from benchmarks.report.systems import CLOUD, COLOCATED

# Guesses a pass that are tried for the target that speculates; the best one counts.
WINDOWS = (4, 8)


@dataclass(frozen=True)
class Served:
    """What one system comes to.

    Attributes:
        speed: of the readers, tokens a second.
        per_text: of the device, see `Device`.
        system: which.
        most: devices; None where not even one keeps the speed.
        alone: what one device costs.
        weights: share of the target's time, with the most devices, that goes to what a pass costs anyway.
    """

    speed: float
    per_text: float
    system: str
    most: Load | None
    alone: Load
    weights: float


def draft_share() -> float:
    """What a step of the draft takes, as a share of a pass of the target, by docs/benchmarks/figures.json."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))["figures"]
    here = {one["system"]: one for one in figures if (one["link"], one["step_ms"]) == (TYPICAL_LINK, 0.0)}
    draft, target = here["local"], here[CLOUD]
    return float(draft["draft_ms"] / (1 + draft["wasted"]) / (target["busy_ms"] / target["passes"]))


def systems_of(recorded: Mapping[str, Sequence[Trace]]) -> dict[str, list[tuple[str, Sequence[Trace]]]]:
    """Every system with the ways in which it may write, of which the best counts; ours first."""
    found = {system: [(system, recorded[system])] for system in SYSTEMS}
    target = recorded["exact"]
    found[CLOUD] = [(CLOUD, [streamed(trace) for trace in target])]
    found[COLOCATED] = [
        (f"{COLOCATED}, {window} guesses", [speculated(trace, window) for trace in target]) for window in WINDOWS
    ]
    return found


def served(
    recorded: Mapping[str, Sequence[Trace]],
    speeds: Sequence[float],
    devices: Sequence[Device],
    tell: Callable[[str], None],
) -> list[Served]:
    """All of it.

    Args:
        recorded: texts by each of `SYSTEMS`.
        speeds: tokens a second.
        devices: of the target.
        tell: hears of progress.
    """
    found, share = [], draft_share()
    for device in devices:
        for speed in speeds:
            for ways in systems_of(recorded).values():
                tried = [_served(name, traces, speed, replace(device, draft=share), tell) for name, traces in ways]
                found.append(max(tried, key=lambda one: one.most.devices if one.most else 0))
    return found


def _served(system: str, traces: Sequence[Trace], speed: float, device: Device, tell: Callable[[str], None]) -> Served:
    most = most_devices(traces, speed, device)
    weights = device.base * most.passes / most.busy if most else 0.0
    tell(f"{speed:g} tokens/s, {1e3 * device.per_text:g} ms a text, {system}: {most.devices if most else 0} devices")
    return Served(speed, device.per_text, system, most, load(traces, 1, speed, device), weights)
