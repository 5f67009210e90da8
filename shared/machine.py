"""The machine that a process has: the cores and the memory that it may use, in a container, too."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


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


def usable_cores(files: SystemFiles = LINUX) -> float:
    """Cores that this process may use: its affinity, or less where a container's quota says so."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = (files.cgroup / "cpu.max").read_text().split()
        return cores if quota == "max" else min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        return cores


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


def processor_flags(files: SystemFiles = LINUX) -> frozenset[str]:
    """What the processor says that it can do, in Linux's words; nothing where nobody says."""
    try:
        return frozenset(files.cpuinfo.read_text(errors="replace").split())
    except OSError:
        return frozenset()
