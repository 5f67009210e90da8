"""Jobs spread over processes, each of them a device with a target process of its own."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from benchmarks.local_target import TargetProcess
from edge_client.bundles.bundle import Bundle

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """Where a job is done.

    Attributes:
        bundle: loaded for this process.
        address: of a target of its own.
        written: tokens written so far by all processes, shared between them; for the one who waits.
    """

    bundle: Bundle
    address: str
    written: Any

    def count(self, tokens: int) -> None:
        """Tell that `tokens` more are written."""
        with self.written.get_lock():
            self.written.value += tokens


class Workers:
    """`count` processes with a device and a target each, all on one thread; a context manager.

    Args:
        bundle: of the devices.
        target: as `cloud-target serve --target` takes it.
    """

    def __init__(self, count: int, bundle: str | Path, target: str) -> None:
        context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
        self._written = context.Value("q", 0)
        self._resources = ExitStack()
        with self._resources:
            addresses = context.SimpleQueue()
            for process in self._start(count, ["--target", str(target), "--threads", "1"]):
                addresses.put(process.address)
            self._pool = ProcessPoolExecutor(count, context, _begin, (addresses, str(bundle), self._written))
            self._resources.callback(self._pool.shutdown, cancel_futures=True)
            self._resources = self._resources.pop_all()

    def run(self, work: Callable[[Place, Job], Result], jobs: Sequence[Job], total: int) -> list[Result]:
        """`work` on every job; the results in the jobs' order. Progress goes to standard error.

        Args:
            work: a function of a module, so that other processes find it.
            total: about how many tokens all jobs will write.
        """
        futures = [self._pool.submit(_call, work, job) for job in jobs]
        progress = _Progress(total, self._written)
        pending: set[Future] = set(futures)
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()  # a failure ends the whole at once
            progress.show(len(futures) - len(pending), len(futures), bool(done))
        progress.end()
        return [future.result() for future in futures]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:  # nobody waits for what is half done
            for process in multiprocessing.active_children():
                process.terminate()
        self._resources.close()

    def _start(self, count: int, arguments: list[str]) -> list[TargetProcess]:
        """Targets take seconds to load; they do it side by side."""
        with ThreadPoolExecutor(count) as threads:
            started = [threads.submit(TargetProcess, arguments) for _ in range(count)]
        for future in started:
            if future.exception() is None:
                self._resources.callback(future.result().stop)
        return [future.result() for future in started]


class _Progress:
    """One line that changes on a terminal, and a line a finished job elsewhere."""

    def __init__(self, total: int, written: Any) -> None:
        self._total, self._written = total, written
        self._first, self._begin = written.value, monotonic()
        self._changes = sys.stderr.isatty()

    def show(self, done: int, jobs: int, is_news: bool) -> None:
        if not (self._changes or is_news):
            return
        tokens, seconds = self._written.value - self._first, monotonic() - self._begin
        line = f"  {done} of {jobs} done, {tokens} of about {self._total} tokens, {tokens / seconds:.0f} tokens/s"
        print(f"\r{line:70}" if self._changes else line, end="" if self._changes else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._changes:
            print("\r" + " " * 72 + "\r", end="", file=sys.stderr, flush=True)


_place: Place | None = None  # of this process, if it is a worker


def _begin(addresses: Any, bundle: str, written: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches everyone; only the parent has something to say
    global _place
    _place = Place(Bundle.load(bundle), addresses.get(), written)


def _call(work: Callable[[Place, Job], Result], job: Job) -> Result:
    assert _place is not None, "only workers, which `_begin` has prepared, do jobs"
    return work(_place, job)
