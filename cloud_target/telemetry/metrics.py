"""What the service does, as numbers for Prometheus: `cloud-target serve --metrics-port`.

The list of them is `cloud_target/telemetry/catalogue.py`. No text, no token id and no session id can get in: the only
labels are kinds of answers, reasons of refusals, and the names of tenants, which come from the operator's file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from cloud_target.engine.interface import Description, Vitals
from cloud_target.telemetry.catalogue import COUNTED
from cloud_target.telemetry.looked_at import LookedAt
from cloud_target.telemetry.observer import Observer
from cloud_target.telemetry.sockets import connections

# What is counted of values of a label beyond the most that there may be.
OTHER = "other"
# Who asks where nobody has to say who they are, or has not said it.
ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class MetricsLimits:
    """What metrics may cost.

    Attributes:
        most_values: of one label; what comes after them is counted as "other".
    """

    most_values: int = 256


M = TypeVar("M", Counter, Gauge, Histogram)


def _as(kind: type[M], metric: Counter | Gauge | Histogram) -> M:
    if not isinstance(metric, kind):
        raise TypeError(f"{type(metric).__name__} is listed where a {kind.__name__} is needed")
    return metric


class _Labelled(Generic[M]):
    """The children of a metric by the values of its labels; looked up once each, and never too many."""

    def __init__(self, metric: M, most: int) -> None:
        self._metric: M = metric
        self._most = most
        self._children: dict[tuple[str, ...], M] = {}
        self._known: dict[int, set[str]] = {}

    def __getitem__(self, values: tuple[str, ...]) -> M:
        child = self._children.get(values)
        if child is None:
            shown = tuple(self._shown(place, value or ANONYMOUS) for place, value in enumerate(values))
            child = self._metric.labels(*shown)
            if OTHER not in shown:
                self._children[values] = child
        return child

    def _shown(self, place: int, value: str) -> str:
        known = self._known.setdefault(place, set())
        if value not in known and len(known) >= self._most:
            return OTHER
        known.add(value)
        return value


class Metrics(Observer):
    """Counts what the service tells, in a registry of its own.

    Args:
        description: the target that is served.
        version: of Tandem.
        process: also report this process's memory, CPU time and file descriptors, where the system tells.
        limits: what they may cost.
        vitals: what the engine says of itself; asked whenever somebody asks for metrics.
        clock: seconds.
    """

    def __init__(
        self,
        description: Description,
        version: str,
        process: bool = True,
        limits: MetricsLimits | None = None,
        vitals: Callable[[], Vitals] = Vitals,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.registry = CollectorRegistry()
        self.limits = limits or MetricsLimits()
        self._clock = clock
        self._pass_since: float | None = None
        self._port: int | None = None
        made = {key: metric.make(self.registry) for key, metric in COUNTED.items()}
        self._waiting, self._queue, self._sessions, self._used, self._budget, self._most, self._limit = (
            _as(Gauge, made[key]) for key in ("waiting", "queue", "sessions", "used", "budget", "most", "limit")
        )
        self._room, self._waited, self._pass, self._feeds, self._tokens, self._first = (
            _as(Histogram, made[key]) for key in ("room", "waited", "pass", "feeds", "tokens", "first")
        )
        self._evicted, self._hung = _as(Counter, made["evicted"]), _as(Counter, made["hung"])
        most = self.limits.most_values
        self._answer = _Labelled(_as(Histogram, made["answer"]), most)
        self._streams = _Labelled(_as(Gauge, made["streams"]), most)
        self._prefix, self._read, self._written, self._judged, self._stood, self._sent, self._refused = (
            _Labelled(_as(Counter, made[key]), most)
            for key in ("prefix", "read", "written", "judged", "stood", "sent", "refused")
        )
        self.registry.register(
            LookedAt(
                {
                    "connections": lambda: None if self._port is None else connections(self._port),
                    "under_way": self._under_way,
                    "looks": lambda: vitals().second_looks,
                    "allocated": lambda: vitals().allocated,
                    "reserved": lambda: vitals().reserved,
                    "resident": lambda: vitals().resident,
                }
            )
        )
        about = Gauge(
            "tandem_build_info",
            "Who serves what; always 1",
            ["version", "target", "fingerprint", "dtype"],
            registry=self.registry,
        )
        about.labels(version, description.name, description.fingerprint, description.dtype).set(1)
        if process:
            ProcessCollector(registry=self.registry)

    def _under_way(self) -> float:
        since = self._pass_since
        return 0.0 if since is None else self._clock() - since

    def listens(self, port: int, most: int) -> None:
        self._port = port
        self._most.set(most)

    def watched(self, limit: float) -> None:
        self._limit.set(limit)

    def hung(self) -> None:
        self._hung.inc()

    def room_wanted(self) -> None:
        self._waiting.inc()

    def room_waited(self, seconds: float) -> None:
        self._waiting.dec()
        self._room.observe(seconds)

    def began(self, kept: int, read: int) -> None:
        self._prefix["kept",].inc(kept)
        self._prefix["read",].inc(read)

    def queued(self, feeds: int) -> None:
        self._queue.set(feeds)

    def passing(self) -> None:
        self._pass_since = self._clock()

    def passed(self, feeds: int, tokens: int, seconds: float) -> None:
        self._pass_since = None
        self._pass.observe(seconds)
        self._feeds.observe(feeds)
        self._tokens.observe(tokens)

    def waited(self, seconds: float) -> None:
        self._waited.observe(seconds)

    def kept(self, sessions: int, used: int, budget: int) -> None:
        self._sessions.set(sessions)
        self._used.set(used)
        self._budget.set(budget)

    def evicted(self, sessions: int) -> None:
        self._evicted.inc(sessions)

    def first_verdict(self, seconds: float) -> None:
        self._first.observe(seconds)

    def answered(self, tenant: str, kind: str, read: int, written: int, seconds: float) -> None:
        self._answer[kind,].observe(seconds)
        self._read[tenant,].inc(read)
        self._written[tenant,].inc(written)

    def guessed(self, tenant: str, judged: int, stood: int) -> None:
        self._judged[tenant,].inc(judged)
        self._stood[tenant,].inc(stood)

    def sent(self, tenant: str, count: int) -> None:
        self._sent[tenant,].inc(count)

    def refused(self, tenant: str, reason: str) -> None:
        self._refused[tenant, reason].inc()

    def streams(self, tenant: str, change: int) -> None:
        self._streams[tenant,].inc(change)
