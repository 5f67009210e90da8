"""A target whose forward passes last at least so long, and are counted: it stands in for larger models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Protocol

from benchmarks.report.worker import Worker
from cloud_target.engine.hf.measure import LARGEST_CHUNK
from cloud_target.engine.interface import Engine, Feed, Scores, Vitals
from cloud_target.engine.load import load_engine
from cloud_target.engine.settings import EngineSettings
from cloud_target.server.server import running
from shared.errors import TargetError


class Counters(Protocol):
    """Two numbers that processes may share: passes, and seconds that they took."""

    def __getitem__(self, index: int) -> float: ...

    def __setitem__(self, index: int, value: float) -> None: ...


@dataclass(frozen=True)
class Work:
    """What a target has done, from one moment to another.

    Attributes:
        passes: through its model, of any number of tokens.
        seconds: that they took, pauses included.
        cpu_seconds: that its process took; None where the system does not tell.
    """

    passes: float = 0
    seconds: float = 0.0
    cpu_seconds: float | None = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.passes + other.passes, self.seconds + other.seconds, _sum(self.cpu_seconds, other.cpu_seconds))

    def __sub__(self, other: Work) -> Work:
        cpu = None if other.cpu_seconds is None else _sum(self.cpu_seconds, -other.cpu_seconds)
        return Work(self.passes - other.passes, self.seconds - other.seconds, cpu)


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


class PacedEngine:
    """An engine that takes its time.

    Args:
        engine: does the work.
        step: least time of a pass, seconds; what is left of it is slept away.
        counters: of its passes and of the seconds that they took.
        clock, sleep: time.
    """

    def __init__(
        self,
        engine: Engine,
        step: float,
        counters: Counters,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine, self._step, self._counters = engine, step, counters
        self._clock, self._sleep = clock, sleep
        self.description, self.context, self.capacity = engine.description, engine.context, engine.capacity
        self.block, self.token_bytes = engine.block, engine.token_bytes
        self.step = max(engine.step, step)
        # What costs as much as a pass costs anyway grows with it: pauses are as long for many tokens as for one.
        self.chunk = min(round(engine.chunk * self.step / engine.step), LARGEST_CHUNK) if engine.step else engine.chunk
        self.branches, self.tokenizer = engine.branches, engine.tokenizer

    def forward(self, feeds: Sequence[Feed]) -> Sequence[Scores | TargetError]:
        """See `Engine.forward`."""
        begin = self._clock()
        found = self._engine.forward(feeds)
        left = begin + self._step - self._clock()
        if left > 0:
            self._sleep(left)
        self._counters[0] += 1
        self._counters[1] += self._clock() - begin
        return found

    def trim(self, slot: int, tokens: int = 0) -> None:
        """See `Engine.trim`."""
        self._engine.trim(slot, tokens)

    def copy(self, source: int, target: int, count: int) -> None:
        """See `Engine.copy`."""
        self._engine.copy(source, target, count)

    def vitals(self) -> Vitals:
        """See `Engine.vitals`."""
        return self._engine.vitals()

    def check_integrity(self) -> None:
        """See `Engine.check_integrity`."""
        self._engine.check_integrity()


class PacedTarget(Worker):
    """A target on loopback, in a process of its own.

    Args:
        target: as `cloud-target serve` takes it.
        step: as above.

    Attributes:
        address: host:port.
        name: of its model, for people.
    """

    def __init__(self, target: str, step: float) -> None:
        self._counters = get_context("spawn").Array("d", 2, lock=False)
        super().__init__(_serve, target, step, self._counters)
        self.address, self.name = self.ready

    @property
    def work(self) -> Work:
        """What it has done so far."""
        return Work(self._counters[0], self._counters[1], self.cpu_seconds)


def _serve(pipe: Connection, target: str, step: float, counters: Counters) -> None:
    # One thread: the other side of the link wants a core as well.
    engine = load_engine(EngineSettings(target, "cpu", "float32", threads=1))
    with running(PacedEngine(engine, step, counters)) as address:
        pipe.send((address, engine.description.name))
        pipe.recv()  # until it is closed
