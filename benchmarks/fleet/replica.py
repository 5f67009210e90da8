"""A target of the fleet as a process of its own: our server, sessions and scheduler over `HashEngine`."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.fleet.device import Device
from benchmarks.fleet.engine import HashEngine
from benchmarks.report.worker import Worker
from cloud_target.access.protection import Access
from cloud_target.access.tls import TlsFiles
from cloud_target.server.connections import ConnectionSettings
from cloud_target.server.server import running

# As docs/operations.md has it for a target behind a proxy: few connections, each everybody's.
_BEHIND_PROXY = ConnectionSettings(streams=1000, silence=0.0)


@dataclass(frozen=True)
class Done:
    """What a replica has done: passes, tokens read in them, and seconds that they took."""

    passes: int
    read: int
    busy: float

    def __sub__(self, other: Done) -> Done:
        return Done(self.passes - other.passes, self.read - other.read, self.busy - other.busy)


class Replica(Worker):
    """One of them.

    Args:
        port: to listen on.
        server: directory with server.pem and server.key.
        device: that it simulates.
        texts: so many have room.
    """

    def __init__(self, port: int, server: Path, device: Device, texts: int) -> None:
        super().__init__(_serve, port, server, device, texts, patience=60.0)

    def done(self) -> Done:
        """So far."""
        return Done(*self.ask("done"))


def _serve(pipe: Connection, port: int, server: Path, device: Device, texts: int) -> None:
    engine = HashEngine(device, texts)
    access = Access(tls=TlsFiles(server / "server.pem", server / "server.key"))
    with running(engine, port, access, connections=_BEHIND_PROXY) as address:
        pipe.send(address)
        while True:
            pipe.recv()
            pipe.send((engine.passes, engine.read, engine.busy))
