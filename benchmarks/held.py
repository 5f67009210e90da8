"""What a process holds, as Linux tells it: memory, descriptors, and the processor's time that it took."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared.errors import TandemError


@dataclass(frozen=True)
class Look:
    """What a process holds.

    Attributes:
        resident, peak: bytes, now and the most so far.
        descriptors: open ones.
    """

    resident: int
    peak: int
    descriptors: int


def look_at(pid: int) -> Look:
    """What the process holds now.

    Raises:
        TandemError: this system does not tell.
    """
    place = Path(f"/proc/{pid}")
    try:
        status = (place / "status").read_text(encoding="utf-8")
        descriptors = len(os.listdir(place / "fd"))
    except OSError:
        raise TandemError("this system has no /proc to read a process's memory from; measure on Linux") from None
    kilobytes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    return Look(1024 * int(kilobytes["VmRSS"]), 1024 * int(kilobytes["VmHWM"]), descriptors)


def seconds_of(pid: int) -> float:
    """Of the processor, that a process has taken so far, and those that it began and that are there."""
    place, found = Path(f"/proc/{pid}"), 0.0
    for children in place.glob("task/*/children"):
        with suppress(OSError):  # a thread, or a process, that has just ended
            found += sum(seconds_of(int(child)) for child in children.read_text(encoding="ascii").split())
    # The name, in brackets, may have spaces; user and system time are the 14th and the 15th field (proc(5)).
    fields = (place / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return found + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
