"""What the service does, as numbers for Prometheus: `cloud-target serve --metrics-port`.

`METRICS` is the whole list; docs/operations.md shows the same. No text, no token id and no session id can get in: the
only labels are kinds of answers, reasons of refusals, and the names of tenants, which come from the operator's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from cloud_target.engine.interface import Description
from cloud_target.telemetry.observer import Observer

# 1 ms to 30 s: from one pass of a small model on loopback to what edges wait for at most.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FEEDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
# What is counted of values of a label beyond the most that there may be.
OTHER = "other"
# Who asks where nobody has to say who they are.
ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Metric:
    """One row of the list.

    Attributes:
        kind: Counter, Gauge or Histogram.
        name: without the suffixes that a counter or a histogram adds.
        help: what it counts, and in what unit.
        label: its one label, if any.
        buckets: of a histogram.
    """

    kind: type
    name: str
    help: str
    label: str | None = None
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> str:
        """The name to ask Prometheus for; of a histogram, that of its buckets' common stem."""
        return f"{self.name}_total" if self.kind is Counter else self.name

    def make(self, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
        """It, in a registry."""
        more = {"buckets": self.buckets} if self.buckets else {}
        return self.kind(self.name, self.help, [self.label] if self.label else [], registry=registry, **more)


METRICS = {
    "queue": Metric(Gauge, "tandem_queue_feeds", "Feeds that wait for the device now"),
    "waited": Metric(Histogram, "tandem_queue_seconds", "Time a feed waited for its pass", None, SECONDS),
    "pass": Metric(Histogram, "tandem_pass_seconds", "Time of a forward pass, sampling included", None, SECONDS),
    "feeds": Metric(Histogram, "tandem_pass_feeds", "Feeds in a forward pass: the batch size", None, FEEDS),
    "tokens": Metric(Histogram, "tandem_pass_tokens", "Tokens read in a forward pass", None, TOKENS),
    "answer": Metric(
        Histogram, "tandem_answer_seconds", "Time from a request to the end of its answer, by kind", "kind", SECONDS
    ),
    "sessions": Metric(Gauge, "tandem_sessions", "Sessions that have a cache now"),
    "used": Metric(Gauge, "tandem_kv_used_bytes", "Bytes of key-value cache in use"),
    "budget": Metric(Gauge, "tandem_kv_budget_bytes", "Bytes of key-value cache that there may be"),
    "evicted": Metric(Counter, "tandem_evictions", "Idle sessions that lost their cache to others"),
    "read": Metric(Counter, "tandem_tokens_read", "Tokens that came with answered requests, by tenant", "tenant"),
    "written": Metric(Counter, "tandem_tokens_written", "Tokens that the target wrote, by tenant", "tenant"),
    "judged": Metric(
        Counter, "tandem_guesses_judged", "Guesses that the target judged as it wrote on, by tenant", "tenant"
    ),
    "stood": Metric(Counter, "tandem_guesses_stood", "Guesses that saved the target a pass, by tenant", "tenant"),
    "sent": Metric(Counter, "tandem_bundle_bytes", "Bytes of the bundle that were sent, by tenant", "tenant"),
    "refused": Metric(Counter, "tandem_refusals", "Calls that ended with an error, by its reason", "reason"),
    "streams": Metric(Gauge, "tandem_streams", "Open Decode streams, by tenant", "tenant"),
}


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
    """The children of a metric by the value of its label; looked up once each, and never too many."""

    def __init__(self, metric: M, most: int) -> None:
        self._metric: M = metric
        self._most = most
        self._children: dict[str, M] = {}

    def __getitem__(self, value: str) -> M:
        child = self._children.get(value)
        if child is None:
            is_full = len(self._children) >= self._most
            child = self._metric.labels(OTHER if is_full else value or ANONYMOUS)
            if not is_full:
                self._children[value] = child
        return child


class Metrics(Observer):
    """Counts what the service tells, in a registry of its own.

    Args:
        description: the target that is served.
        version: of Tandem.
        process: also report this process's memory, CPU time and file descriptors, where the system tells.
        limits: what they may cost.
    """

    def __init__(
        self, description: Description, version: str, process: bool = True, limits: MetricsLimits | None = None
    ) -> None:
        self.registry = CollectorRegistry()
        self.limits = limits or MetricsLimits()
        made = {key: metric.make(self.registry) for key, metric in METRICS.items()}
        self._queue, self._sessions, self._used, self._budget = (
            _as(Gauge, made[key]) for key in ("queue", "sessions", "used", "budget")
        )
        self._waited, self._pass, self._feeds, self._tokens = (
            _as(Histogram, made[key]) for key in ("waited", "pass", "feeds", "tokens")
        )
        self._evicted = _as(Counter, made["evicted"])
        most = self.limits.most_values
        self._answer = _Labelled(_as(Histogram, made["answer"]), most)
        self._streams = _Labelled(_as(Gauge, made["streams"]), most)
        self._read, self._written, self._judged, self._stood, self._sent, self._refused = (
            _Labelled(_as(Counter, made[key]), most)
            for key in ("read", "written", "judged", "stood", "sent", "refused")
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

    def queued(self, feeds: int) -> None:
        self._queue.set(feeds)

    def passed(self, feeds: int, tokens: int, seconds: float) -> None:
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

    def answered(self, tenant: str, kind: str, read: int, written: int, seconds: float) -> None:
        self._answer[kind].observe(seconds)
        self._read[tenant].inc(read)
        self._written[tenant].inc(written)

    def guessed(self, tenant: str, judged: int, stood: int) -> None:
        self._judged[tenant].inc(judged)
        self._stood[tenant].inc(stood)

    def sent(self, tenant: str, count: int) -> None:
        self._sent[tenant].inc(count)

    def refused(self, tenant: str, reason: str) -> None:
        self._refused[reason].inc()

    def streams(self, tenant: str, change: int) -> None:
        self._streams[tenant].inc(change)
