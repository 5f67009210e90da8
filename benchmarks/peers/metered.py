"""A relay in a process of its own that counts what it carries, for every system alike."""

from __future__ import annotations

from multiprocessing.connection import Connection

from benchmarks.network.profiles import Profile
from benchmarks.network.relay import Relay
from benchmarks.report.worker import Worker


class MeteredRelay(Worker):
    """A link before a target.

    Args:
        target: host:port.

    Attributes:
        address: host:port for the device.
    """

    def __init__(self, profile: Profile, target: str) -> None:
        super().__init__(_serve, profile, target)
        self.address: str = self.ready

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes from the device and to it so far: payload of TCP, so with whatever framing a system has."""
        up, down = self.ask("carried")
        return up, down


def _serve(pipe: Connection, profile: Profile, target: str) -> None:
    with Relay(profile, target) as relay:
        pipe.send(relay.address)
        while True:
            pipe.recv()
            pipe.send(relay.carried)
