"""What honest devices feel, and what the target holds: alone, beside the strangers, alone again, and beside a neighbour
that takes as much of the machine as the strangers did, in rounds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import IO

from benchmarks.held import Look, look_at, seconds_of
from benchmarks.local_target import TargetProcess
from benchmarks.siege.devices import Asked
from benchmarks.siege.kinds import Kind
from cloud_target.access.tokens import add_line, new_token
from shared.errors import TandemError

# When strangers have left, memory has so many seconds to come back to within so much of what it was before the first
# of them came: the target looks every few seconds whether it may give some back, and Python has come to know its ways.
BACK_SECONDS, BACK_MB = 15.0, 64
# Descriptors that a process may have more for reasons of its own.
BACK_DESCRIPTORS = 2
# Seconds between two looks at memory.
_LOOK = 0.05


@dataclass(frozen=True)
class Place:
    """Where the target is, and what lets devices in.

    Attributes:
        address, metrics: "host:port".
        ca: its certificate, which is its own authority.
        token: of the devices.
        pid: of the process.
    """

    address: str
    metrics: str
    ca: str
    token: str
    pid: int


@dataclass
class Round:
    """What one round found.

    Attributes:
        alone, beside, after, neighboured: questions of the devices in each phase.
        before, most, left: what the target held before the first round, at most beside the strangers (bytes of
            memory), and after they had left.
        cores: of the processor that the target took beside the strangers, the strangers themselves, and the neighbour.
        strangers: what became of them, by kind.
    """

    alone: Asked
    beside: Asked
    after: Asked
    neighboured: Asked
    before: Look
    most: int
    left: Look
    cores: tuple[float, float, float]
    strangers: dict[str, dict[str, int]]


@contextmanager
def place(directory: Path, metrics_port: int, *more: str) -> Iterator[Place]:
    """A target with TLS and tokens, as on a public address, for as long as the block lasts.

    Raises:
        TandemError: it does not start, or there is no openssl to make its certificate.
    """
    cert, key, tokens = directory / "server.pem", directory / "server.key", directory / "tokens.txt"
    _certify(cert, key)
    token, line = new_token("honest")
    add_line(tokens, line)
    protected = ("--tls-cert", str(cert), "--tls-key", str(key), "--tokens", str(tokens))
    told = ("--metrics-port", str(metrics_port), "--log-level", "error")
    target = TargetProcess((*protected, *told, *more))
    try:
        yield Place(target.address, f"127.0.0.1:{metrics_port}", str(cert), token, target.pid)
    finally:
        target.stop()


def rounds(
    there: Place, devices: int, kinds: Sequence[Kind], count: int, seconds: float, tell: Callable[[str], None]
) -> list[Round]:
    """So many, one after the other; each phase takes so many seconds.

    Args:
        devices: honest ones, which stay over all rounds.
        kinds: of the strangers, one a connection.
        tell: hears which phase begins.
    """
    honest = {"address": there.address, "ca": there.ca, "token": there.token, "devices": devices}
    found: list[Round] = []
    with _process("devices", honest) as asking:
        _ask(asking, 1.0)  # so that what is there for good, is there
        before = look_at(there.pid)
        for number in range(1, count + 1):
            said = f"round {number} of {count}"
            tell(f"{said}: devices alone")
            alone = _ask(asking, seconds)
            tell(f"{said}: beside {len(kinds)} strangers")
            beside, most, cores, strangers = _besieged(there, asking, kinds, seconds)
            tell(f"{said}: alone again")
            left = _come_back(there.pid, before)
            after = _ask(asking, seconds)
            tell(f"{said}: beside a neighbour that takes as much as they did")
            neighboured, took = _neighboured(asking, cores[1], seconds)
            found.append(Round(alone, beside, after, neighboured, before, most, left, (*cores, took), strangers))
    return found


def _besieged(
    there: Place, asking: subprocess.Popen[str], kinds: Sequence[Kind], seconds: float
) -> tuple[Asked, int, tuple[float, float], dict[str, dict[str, int]]]:
    hostile = {"address": there.address, "metrics": there.metrics, "ca": there.ca, "kinds": [k.name for k in kinds]}
    with _most_of(there.pid) as most, _process("strangers", hostile) as strangers:
        beside, cores = _asked_beside(asking, seconds, there.pid, strangers.pid)
        _pipe(strangers.stdin).close()
        counts = json.loads(_line(strangers))
    return beside, most[0], (cores[0], cores[1]), counts


def _neighboured(asking: subprocess.Popen[str], cores: float, seconds: float) -> tuple[Asked, float]:
    """Questions beside a neighbour, and how much of the processor that took."""
    with _process("neighbour", {"cores": cores}) as neighbour:
        asked, took = _asked_beside(asking, seconds, neighbour.pid)
        _pipe(neighbour.stdin).close()
    return asked, took[0]


def _asked_beside(asking: subprocess.Popen[str], seconds: float, *pids: int) -> tuple[Asked, list[float]]:
    """Questions, and how many cores these processes took meanwhile."""
    begun, taken = monotonic(), [seconds_of(pid) for pid in pids]
    asked = _ask(asking, seconds)
    lasted = monotonic() - begun
    return asked, [(seconds_of(pid) - one) / lasted for pid, one in zip(pids, taken, strict=True)]


@contextmanager
def _most_of(pid: int) -> Iterator[list[int]]:
    """The most memory of a process while the block lasts, as a list of one."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            most[0] = max(most[0], look_at(pid).resident)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def is_back(now: Look, before: Look) -> bool:
    """Whether a process holds again what it held."""
    few = now.descriptors <= before.descriptors + BACK_DESCRIPTORS
    return few and now.resident <= before.resident + BACK_MB * 1_000_000


def _come_back(pid: int, before: Look) -> Look:
    """What it holds as soon as that is what it held before, and at the latest when its time is over."""
    ends = monotonic() + BACK_SECONDS
    while not is_back(now := look_at(pid), before) and monotonic() < ends:
        sleep(_LOOK)
    return now


@contextmanager
def _process(module: str, given: Mapping[str, object]) -> Iterator[subprocess.Popen[str]]:
    """One of ours, which says when it is ready, and ends when nothing more is typed."""
    command = [sys.executable, "-m", f"benchmarks.siege.{module}", json.dumps(given)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            _line(process)
            yield process
        except BaseException:
            process.kill()
            raise


def _ask(asking: subprocess.Popen[str], seconds: float) -> Asked:
    print(seconds, file=_pipe(asking.stdin), flush=True)
    return Asked(**json.loads(_line(asking)))


def _line(process: subprocess.Popen[str]) -> str:
    said = _pipe(process.stdout).readline()
    if not said:
        raise TandemError("a process of the siege ended early; what it says stands above")
    return said


def _pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None  # it is a pipe
    return end


def _certify(cert: Path, key: Path) -> None:
    """Make a certificate for this machine's loopback, signed by itself."""
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "1")
    named = ("-subj", "/CN=besieged", "-addext", "subjectAltName=IP:127.0.0.1")
    try:
        subprocess.run(
            ["openssl", *new, *named, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise TandemError("openssl could not make a certificate; install openssl 3 or newer") from None
