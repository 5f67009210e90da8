"""A cloud target as a process of its own on loopback, for benchmarks and tests."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from shared.errors import INTERRUPTED, TandemError
from shared.interrupts import interruptible, sigterm_unwinds


class TargetProcess:
    """`cloud-target serve` on a free port of 127.0.0.1.

    Attributes:
        address: host:port that it serves on.
        pid: of the process.
    """

    def __init__(self, arguments: Sequence[str] = (), port: int = 0) -> None:
        command = [sys.executable, "-m", "cloud_target", "serve", "--port", str(port), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        assert self._process.stdout is not None  # it is a pipe
        self._output = self._process.stdout
        lines = []
        for line in self._output:
            lines.append(line)
            if found := re.search(r" on (127\.0\.0\.1:\d+)", line):
                self.address = found[1]
                return
        status = self._process.wait()
        said = "".join(lines).strip() or "nothing"
        raise TandemError(f"`cloud-target serve` did not start; its exit status is {status}, and what it said {said}")

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._process.kill()
        self._reap()

    def stop(self) -> int:
        """End it as an operator would (SIGTERM) and return its exit status."""
        self._process.terminate()
        self._reap()
        return self._process.returncode

    def _reap(self) -> None:
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


@contextmanager
def local_target(*arguments: str) -> Iterator[TargetProcess]:
    """A target for the length of a `with` block."""
    process = TargetProcess(arguments)
    try:
        yield process
    finally:
        process.stop()


def run_main(main: Callable[[], int]) -> int:
    """Run a benchmark's main function; errors on purpose are one sentence, and Ctrl-C and SIGTERM are quiet."""
    try:
        with interruptible(), sigterm_unwinds():
            return main()
    except TandemError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print()
        return INTERRUPTED
