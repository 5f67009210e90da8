"""A relay as a process of its own, so that it and an edge do not wait for each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.network.profiles import Profile
from shared.errors import TandemError


@contextmanager
def relay_process(profile: Profile, target: str) -> Iterator[str]:
    """A relay before the target for the length of a `with` block, as `python -m benchmarks.network NAME` is.

    Args:
        target: host:port.

    Yields:
        Its address, host:port.
    """
    command = [sys.executable, "-m", "benchmarks.network", profile.name, "--target", target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # it is a pipe
        address, _, rest = process.stdout.readline().partition(" ")
        try:
            if not rest:
                raise TandemError(f"`{' '.join(command[1:])}` did not start")
            yield address
        finally:
            process.terminate()
