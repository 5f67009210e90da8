"""A device as a process of its own: an edge that writes what it is told to, and tells what that took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.modes import write
from benchmarks.report.classic import write_in_windows
from benchmarks.report.worker import Worker
from edge_client.bundles.bundle import Bundle
from edge_client.edge import Edge
from edge_client.settings import Settings
from edge_client.usage.audit_counts import AuditCounts
from edge_client.usage.summary import Summary


@dataclass(frozen=True)
class Text:
    """One text as its reader saw it.

    Attributes:
        ids: its tokens, prompt not counted.
        summary: the figures of the edge that wrote it, wherever it stood.
        counts: how far it is from the target's own.
        total_ms, first_ms: until its last token was settled, and until its first.
        cpu_seconds: that the device took.
    """

    ids: list[int]
    summary: Summary
    counts: AuditCounts
    total_ms: float
    first_ms: float
    cpu_seconds: float


class Device(Worker):
    """An edge with a bundle.

    Args:
        bundle: its directory.
        score: in the place of its verifier, as `Asker` takes it; None for the verifier.
        in_windows: whether it writes by classic speculative decoding, whatever the mode.
    """

    def __init__(self, bundle: Path, score: Any = None, in_windows: bool = False) -> None:
        super().__init__(_serve, bundle, score, in_windows)

    def connect(self, address: str) -> None:
        """Ask this target from now on, and forget all that earlier texts have taught."""
        self.ask("connect", address)

    def write(self, prompt: Sequence[int], settings: Settings, threshold: float | None = None) -> Text:
        """Write one text; `threshold` is for a score."""
        text: Text = self.ask("write", list(prompt), settings, threshold)
        return text

    def judge(self, prompt: Sequence[int], settings: Settings) -> AuditCounts:
        """What the target thinks of a text that is written without it."""
        counts: AuditCounts = self.ask("judge", list(prompt), settings)
        return counts

    def scores(self) -> list[float]:
        """The scores since this was asked last."""
        scores: list[float] = self.ask("scores")
        return scores


def _serve(pipe: Connection, directory: Path, score: Any, in_windows: bool) -> None:
    asker = None
    if score is not None:
        from benchmarks.report.asker import Asker  # no other device needs it

        asker = Asker(score)
    bundle = asker.bundle(directory) if asker else Bundle.load(directory)
    pipe.send("ready")
    edge: Edge | None = None
    try:
        while True:
            match pipe.recv():
                case "connect", address:
                    if edge is not None:
                        edge.close()
                    edge = Edge(address, bundle=bundle, memory=False, on_outage="wait")
                    pipe.send("connected")
                case "write", prompt, settings, threshold:
                    assert edge is not None, "connected first"
                    if asker is not None and threshold is not None:
                        asker.threshold = threshold
                    pipe.send(_write(edge, prompt, settings, in_windows))
                case "judge", prompt, settings:
                    assert edge is not None, "connected first"
                    pipe.send(write(edge, prompt, settings).counts)
                case ("scores",):
                    assert asker is not None, "of a device that has some"
                    pipe.send(asker.seen[:])
                    asker.seen.clear()
    finally:
        if edge is not None:
            edge.close()


def _write(edge: Edge, prompt: list[int], settings: Settings, in_windows: bool) -> Text:
    begin = time.process_time()
    if in_windows:
        ids, usage = write_in_windows(edge, prompt, settings)
    else:
        done = edge.generate(prompt, **vars(settings))
        ids, usage = done.token_ids, done.usage
    spent = time.process_time() - begin
    return Text(ids, usage, usage.audit, usage.times.total_ms, usage.times.first_token_ms, spent)
