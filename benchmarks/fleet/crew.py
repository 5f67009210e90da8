"""A process with many simulated devices, which do as they are told over a pipe."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from benchmarks.fleet.traces import Trace
from benchmarks.fleet.writer import Tally, Writer
from benchmarks.report.worker import Worker
from cloud_target.options.dial import DialSettings, Line
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

# Streams that share a connection: below what deploy/envoy/envoy.yaml lets one have.
STREAMS = 200
# Devices of a crew that open their streams at the same time.
_OPENING = 100


@dataclass(frozen=True)
class Shift:
    """What devices are to do.

    Attributes:
        devices: so many of the crew take part; the others keep their streams open, and wait.
        rate: tokens a second that the user of each reads between its calls; None: it asks again at once.
        warm: seconds before anything is counted.
        seconds: that are counted.
    """

    devices: int
    rate: float | None
    warm: float
    seconds: float


class Crew(Worker):
    """Such a process.

    Args:
        address: host:port of Envoy.
        ca: the authority of its certificate.
        traces: what the devices ask.
        first, count: numbers of the devices.
    """

    def __init__(self, address: str, ca: Path, traces: Sequence[Trace], first: int, count: int) -> None:
        super().__init__(_work, address, ca, traces, first, count, patience=60.0)
        self.count = count

    def tell(self, *words: Any) -> None:
        """Let it do something; `hear` waits until that is done, and returns its tally."""
        self._pipe.send(words)

    def is_done(self, seconds: float) -> bool:
        """Whether it is by then."""
        return self._pipe.poll(seconds)


def _work(pipe: Connection, address: str, ca: Path, traces: Sequence[Trace], first: int, count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_obey(pipe, address, ca, traces, first, count))


async def _obey(pipe: Connection, address: str, ca: Path, traces: Sequence[Trace], first: int, count: int) -> None:
    line = Line(DialSettings(address, ca=ca))
    channels = [line.aio_channel() for _ in range(-(-count // STREAMS))]
    stubs = [TargetServiceStub(channel) for channel in channels]
    writers = [Writer(first + i, stubs[i // STREAMS], traces, Tally()) for i in range(count)]
    try:
        pipe.send("ready")
        loop = asyncio.get_running_loop()
        while True:
            what, *words = await loop.run_in_executor(None, pipe.recv)
            pipe.send(await (_open(writers) if what == "open" else _shift(writers, *words)))
    finally:
        for channel in channels:
            await channel.close(None)


async def _open(writers: Sequence[Writer]) -> Tally:
    """Everybody opens a stream, and has the first call answered."""
    tally, doors = _counted(writers), asyncio.Semaphore(_OPENING)

    async def enter(writer: Writer) -> None:
        async with doors:
            await writer.call()

    await asyncio.gather(*(enter(writer) for writer in writers))
    return tally


async def _shift(writers: Sequence[Writer], shift: Shift) -> Tally:
    """Some write for a while; those whose answers are late are not waited for when it is counted, but afterwards."""
    end = perf_counter() + shift.warm + shift.seconds
    tasks = [asyncio.ensure_future(_write(writer, shift.rate, end)) for writer in writers[: shift.devices]]
    _counted(writers)
    await asyncio.sleep(shift.warm)
    tally = _counted(writers)
    await asyncio.sleep(max(end - perf_counter(), 0.0))
    _counted(writers)
    await asyncio.gather(*tasks)
    return tally


async def _write(writer: Writer, rate: float | None, end: float) -> None:
    chance, is_first = Random(writer.number), True
    while True:
        if rate:
            reading = writer.ahead / rate
            # Nobody begins with the others, and each is as likely to be at any place of what it reads.
            pause = reading * (chance.random() if is_first else 0.5 + chance.random())
            is_first = False
            if perf_counter() + pause >= end:
                return
            await asyncio.sleep(pause)
        if perf_counter() >= end:
            return
        await writer.call()


def _counted(writers: Sequence[Writer]) -> Tally:
    tally = Tally()
    for writer in writers:
        writer.tally = tally
    return tally
