"""The embedded target in a process of its own, with its metrics."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.local_target import local_target
from tests.cloud_target.telemetry.scraped import Page


@dataclass(frozen=True)
class ServingTarget:
    """A real one.

    Attributes:
        address, metrics: host:port of both ports.
    """

    address: str
    metrics: str

    def read(self) -> int:
        """Tokens that its forward passes have read so far, those too that it wrote or judged."""
        return round(Page(self.metrics).value("tandem_pass_tokens_sum"))


@contextmanager
def serving_target() -> Iterator[ServingTarget]:
    """One for the length of a `with` block, with one thread, and with little memory for texts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = free.getsockname()[1]
    with local_target("--threads", "1", "--kv-memory", "64MiB", "--metrics-port", str(metrics)) as process:
        yield ServingTarget(process.address, f"127.0.0.1:{metrics}")
