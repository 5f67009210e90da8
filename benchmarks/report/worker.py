"""A part of an experiment as a process of its own, which answers over a pipe and ends when that is closed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from typing import Any, Self

from shared.errors import TandemError

# Spawned, not forked: a fork would inherit the memory that is to be measured, and threads that are not there.
_PROCESSES = get_context("spawn")
_PATIENCE = 5.0


class Worker:
    """A process that runs `work(pipe, *arguments)`, until the end of a `with` block.

    Args:
        work: first sends that it is ready, and returns, or raises EOFError, when the pipe is closed.
        patience: seconds that its beginning may take; None for however long.

    Attributes:
        ready: what it has sent first.

    Raises:
        TandemError: it could not begin, or not in time, or, later, it has ended.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any, patience: float | None = None) -> None:
        self._pipe, theirs = _PROCESSES.Pipe()
        self._process = _PROCESSES.Process(target=_run, args=(theirs, work, arguments), daemon=True)
        # Ctrl-C reaches every process of a terminal, but for those that were started deaf. What tracks their resources
        # is started with the first of them, and would give it its hearing back.
        ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        theirs.close()
        try:
            if not self._pipe.poll(patience):
                raise TandemError(
                    f"a process of the benchmark was not ready within {patience:.0f} seconds; give it more"
                )
            self.ready = self.hear()
        except BaseException:
            self.close(0.0)
            raise

    def hear(self) -> Any:
        """What it sends next."""
        try:
            said = self._pipe.recv()
        except EOFError:
            raise TandemError("a process of the benchmark ended before its time; what it printed says why") from None
        if isinstance(said, _Failure):
            raise TandemError(said.sentence)
        return said

    def ask(self, *words: Any) -> Any:
        """What it answers."""
        self._pipe.send(words)
        return self.hear()

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time that it has taken so far, in steps of a hundredth or so; None where the system does not tell."""
        with suppress(OSError):
            # The second field is a name in brackets, which may hold anything.
            fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return None

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that it has held at once; None where the system does not tell."""
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
        return None

    def close(self, patience: float = _PATIENCE) -> None:
        """End it, after what it is just doing if that takes no longer than `patience`, seconds. Twice is once."""
        self._pipe.close()
        self._process.join(patience)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(0.0 if kind else _PATIENCE)  # where something went wrong, nobody wants what it is doing


class _Failure:
    """An error on purpose, on its way to whoever asked."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence


def _run(pipe: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            work(pipe, *arguments)
        except TandemError as error:
            pipe.send(_Failure(str(error)))
