"""The machine: versions, threads, arithmetic, memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from cloud_target.doctor.findings import Finding, fail, ok, warn
from shared.version import DISTRIBUTION

# Of the distribution: what a server needs.
EXTRA = "cloud"


@dataclass(frozen=True)
class SystemFiles:
    """Where Linux says what a process has; a file that is not there says nothing.

    Attributes:
        cgroup: the directory of a container's limits.
        meminfo: main memory.
        cpuinfo: what the processor can do.
    """

    cgroup: Path = Path("/sys/fs/cgroup")
    meminfo: Path = Path("/proc/meminfo")
    cpuinfo: Path = Path("/proc/cpuinfo")


LINUX = SystemFiles()


def versions() -> Iterator[Finding]:
    """Every package that the service needs is here, in a version that it works with."""
    asked = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    needed = [r for r in asked if r.marker is None or r.marker.evaluate({"extra": EXTRA})]
    problems, found = [], {}
    for requirement in needed:
        try:
            found[requirement.name] = version(requirement.name)
        except PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found[requirement.name], prereleases=True):
            problems.append(f"{requirement.name} {found[requirement.name]} is not {requirement.specifier}")
    if problems:
        yield fail("versions", f"{'; '.join(problems)}; install again: pip install '{DISTRIBUTION}[{EXTRA}]'")
    else:
        main = ", ".join(f"{name} {found[name]}" for name in ("torch", "transformers", "grpcio") if name in found)
        yield ok("versions", f"Tandem {version(DISTRIBUTION)} on Python {platform.python_version()}, {main}")


def threads(wanted: int | None, files: SystemFiles = LINUX) -> Iterator[Finding]:
    """Threads that compute against cores that this process may use."""
    import torch

    cores, count = usable_cores(files), wanted or torch.get_num_threads()
    if count > cores + 0.5:
        yield warn(
            "threads",
            f"{count} threads share {cores:g} cores, and wait for each other; use --threads {max(int(cores), 1)}",
        )
    else:
        yield ok("threads", f"{count} for {cores:g} cores")


def usable_cores(files: SystemFiles = LINUX) -> float:
    """Cores that this process may use: its affinity, or less where a container's quota says so."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = (files.cgroup / "cpu.max").read_text().split()
        return cores if quota == "max" else min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        return cores


def bfloat16(device: str, dtype: str | None, files: SystemFiles = LINUX) -> Iterator[Finding]:
    """Whether bf16 arithmetic runs where the target would be, and whether the configuration wants it."""
    import torch

    from cloud_target.engine.hf.cpu import guard_bfloat16

    if device == "cuda":
        if torch.cuda.is_bf16_supported():
            yield ok("bf16", f"{torch.cuda.get_device_name()} computes in bf16")
        elif dtype in (None, "bfloat16"):
            yield fail("bf16", f"{torch.cuda.get_device_name()} has no bf16; use --dtype float16")
        return
    if guard_bfloat16():
        yield warn(
            "bf16",
            "the processor advertises AMX and the hypervisor forbids it, so bf16 runs without it; "
            "a newer hypervisor would be faster",
        )
    elif flags := _bf16_flags(files):
        yield ok("bf16", f"the processor computes in bf16 ({', '.join(flags)})")
    elif dtype == "bfloat16":
        yield warn("bf16", "the processor has no bf16 instructions, so bfloat16 is slow here; leave --dtype out")
    else:
        yield ok("bf16", "the processor has no bf16 instructions; float32 is used")


def _bf16_flags(files: SystemFiles) -> list[str]:
    try:
        words = set(files.cpuinfo.read_text(errors="replace").split())
    except OSError:
        return []
    return sorted(words & {"amx_bf16", "avx512_bf16"})


def _reclaimable(files: SystemFiles) -> int:
    """Bytes that count as the container's, but only keep files at hand until somebody needs the room."""
    with suppress(OSError, ValueError, KeyError):
        lines = dict(line.split() for line in (files.cgroup / "memory.stat").read_text().splitlines())
        return int(lines["inactive_file"])
    return 0


def available_memory(files: SystemFiles = LINUX) -> int | None:
    """Bytes of main memory that may still be taken: what the system has, or less where a container's limit says so."""
    amounts = []
    with suppress(OSError, ValueError, KeyError):
        lines = dict(line.split(":") for line in files.meminfo.read_text().splitlines())
        amounts.append(int(lines["MemAvailable"].split()[0]) << 10)
    with suppress(OSError, ValueError):  # "max": no limit
        limit, used = (int((files.cgroup / f"memory.{name}").read_text()) for name in ("max", "current"))
        amounts.append(limit - used + _reclaimable(files))
    return min(amounts, default=None)
