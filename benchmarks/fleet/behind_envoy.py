"""Replicas of the scripted target, the real Envoy before them, and crews of devices; and what each of them takes."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.envoy import EnvoyProcess, for_loopback, free_ports
from benchmarks.fleet.crew import Crew, Shift
from benchmarks.fleet.device import Device
from benchmarks.fleet.replica import Replica
from benchmarks.fleet.traces import Trace
from benchmarks.fleet.writer import Tally
from shared.errors import TandemError

CREDENTIALS = Path(__file__).resolve().parents[2] / "deploy" / "credentials.py"
# Processes that the devices are in.
CREWS = 2
# Streams of Envoy's that are open towards devices.
_OPEN = "http.edges.downstream_rq_active"
# Seconds between two words of progress.
_WORD = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Part:
    """What was seen while devices wrote.

    Attributes:
        seconds: that were counted.
        tally: of all devices.
        busy: share of the time in which the replicas' devices were, in the mean.
        texts: in a pass, in the mean: calls.
        cores: that the replicas, Envoy and the devices took, in this order.
        machine: cores of this machine that were at work, for these and for everybody else.
    """

    seconds: float
    tally: Tally
    busy: float
    texts: float
    cores: tuple[float, float, float]
    machine: float

    @property
    def tokens(self) -> float:
        """A second."""
        return self.tally.tokens / self.seconds

    @property
    def calls(self) -> float:
        """A second."""
        return self.tally.calls / self.seconds

    def late(self, share: float) -> float:
        """The latency that so many of the calls kept below, seconds."""
        found = sorted(self.tally.latencies)
        return found[min(int(share * len(found)), len(found) - 1)] if found else 0.0


@dataclass(frozen=True)
class Row:
    """So many replicas.

    Attributes:
        replicas: of them.
        opening: seconds until every device had its stream, and its first answer.
        opened: what the devices saw meanwhile.
        open: streams that were then open at Envoy.
        hurried: some of the devices ask again at once.
        paced: all of them write at the rate of a reader.
        rate: of that reader, tokens a second.
    """

    replicas: int
    opening: float
    opened: Tally
    open: int
    hurried: Part
    paced: Part
    rate: float


@dataclass(frozen=True)
class Plan:
    """What is done with each number of replicas.

    Attributes:
        devices: in all.
        hurried: of them, so many ask without a pause in the first part.
        rate: of a reader in the second part, tokens a second a device and replica: four replicas are asked for four
            times as much as one.
        warm, seconds: of each part, see `Shift`.
        device: what the replicas simulate.
    """

    devices: int
    hurried: int
    rate: float
    warm: float
    seconds: float
    device: Device


def measure(replicas: int, plan: Plan, traces: Sequence[Trace], tell: Callable[[str], None]) -> Row:
    """One row.

    Raises:
        InputError: there is no Envoy.
        TandemError: something did not start, or ended.
    """
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="tandem-fleet-")
        directory = Path(stack.enter_context(temporary))
        server, edge = directory / "server", directory / "edge"
        for each in (server, edge):
            each.mkdir()
        with contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(CREDENTIALS))["main"](server, edge, "cloud", "edge")
        tell(f"{replicas} replica(s) and Envoy start")
        ports = free_ports(3 + replicas)
        targets = [stack.enter_context(Replica(port, server, plan.device, 2 * plan.devices)) for port in ports[3:]]
        envoy = stack.enter_context(EnvoyProcess(directory, for_loopback(server, ports[:3], ports[3:])))
        envoy.wait_for_replicas(replicas)
        share = plan.devices // CREWS
        crews = [
            stack.enter_context(Crew(envoy.address, edge / "ca.pem", traces, share * number, share))
            for number in range(CREWS)
        ]
        fleet = _Fleet(targets, envoy, crews, tell)
        begin = time.monotonic()
        opened = fleet.open()
        opening = time.monotonic() - begin
        streams = envoy.count(_OPEN)
        hurried = fleet.write("devices that hurry", Shift(plan.hurried // CREWS, None, plan.warm, plan.seconds))
        rate = plan.rate * replicas
        paced = fleet.write(f"all devices, {rate:g} tokens/s each", Shift(share, rate, plan.warm, plan.seconds))
        return Row(replicas, opening, opened, streams, hurried, paced, rate)


class _Fleet:
    def __init__(
        self, targets: Sequence[Replica], envoy: EnvoyProcess, crews: Sequence[Crew], tell: Callable[[str], None]
    ) -> None:
        self._targets, self._envoy, self._crews, self._tell = targets, envoy, crews, tell

    def open(self) -> Tally:
        for crew in self._crews:
            crew.tell("open")
        return self._heard("streams are opened")

    def write(self, what: str, shift: Shift) -> Part:
        for crew in self._crews:
            crew.tell("shift", shift)
        self._tell(f"{what}: {shift.warm + shift.seconds:g} s")
        time.sleep(shift.warm)
        begin, cpu, before = time.monotonic(), self._cpu(), [target.done() for target in self._targets]
        time.sleep(shift.seconds)
        seconds, after = time.monotonic() - begin, [target.done() for target in self._targets]
        cores = [(new - old) / seconds for new, old in zip(self._cpu(), cpu, strict=True)]
        done = [new - old for new, old in zip(after, before, strict=True)]
        tally = self._heard("the last answers come")
        passes = sum(each.passes for each in done)
        busy = sum(each.busy for each in done) / seconds / len(done)
        texts = tally.calls / max(passes, 1)
        return Part(shift.seconds, tally, busy, texts, (cores[0], cores[1], cores[2]), cores[3])

    def _heard(self, what: str) -> Tally:
        begin, told = time.monotonic(), time.monotonic()
        waiting, whole = list(self._crews), Tally()
        while waiting:
            for crew in [crew for crew in waiting if crew.is_done(0.2)]:
                whole += crew.hear()
                waiting.remove(crew)
            if waiting and time.monotonic() - told > _WORD:
                told = time.monotonic()
                self._tell(f"{what}: {told - begin:.0f} s, {self._envoy.count(_OPEN)} streams are open")
        return whole

    def _cpu(self) -> tuple[float, float, float, float]:
        """Seconds of CPU that the replicas, Envoy, the devices and the whole machine have taken."""
        replicas, crews = (sum(each.cpu_seconds or 0.0 for each in group) for group in (self._targets, self._crews))
        return replicas, cpu_seconds(self._envoy.pid), crews, machine_seconds()


def cpu_seconds(pid: int) -> float:
    """CPU time that a process of this machine has taken.

    Raises:
        TandemError: there is none, or the system does not tell.
    """
    fields = _told(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_seconds() -> float:
    """CPU time that was spent on this machine, on whatever.

    Raises:
        TandemError: the system does not tell.
    """
    # user, nice, system, idle, waiting for disks, interrupts; what a host steals is nobody's here.
    fields = [int(field) for field in _told("/proc/stat").splitlines()[0].split()[1:8]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def _told(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        raise TandemError("this machine does not tell what processes take; run the benchmark on Linux") from None
