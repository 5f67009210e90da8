"""The list of metrics: what each counts, in which unit, and by what; docs/operations.md shows the same."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

# 1 ms to 30 s: from one pass of a small model on loopback to what edges wait for at most.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FEEDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True)
class Metric:
    """One row of the list.

    Attributes:
        kind: Counter, Gauge or Histogram.
        name: without the suffixes that a counter or a histogram adds.
        help: what it counts, and in what unit.
        labels: what it is told apart by, if anything.
        buckets: of a histogram.
    """

    kind: type
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> str:
        """The name to ask Prometheus for; of a histogram, that of its buckets' common stem."""
        return f"{self.name}_total" if self.kind is Counter else self.name

    def make(self, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
        """It, in a registry."""
        more = {"buckets": self.buckets} if self.buckets else {}
        return self.kind(self.name, self.help, self.labels, registry=registry, **more)

    def sample(self, value: float) -> CounterMetricFamily | GaugeMetricFamily:
        """It with the value that it has just now, of a counter or a gauge without labels."""
        family = CounterMetricFamily if self.kind is Counter else GaugeMetricFamily
        return family(self.name, self.help, value)


# Counted as it happens.
COUNTED = {
    "room": Metric(
        Histogram,
        "tandem_room_seconds",
        "Time a request waited for its session, and for room in the cache",
        (),
        SECONDS,
    ),
    "waiting": Metric(Gauge, "tandem_room_requests", "Requests that wait for room in the cache now"),
    "queue": Metric(Gauge, "tandem_queue_feeds", "Feeds that wait for the device now"),
    "waited": Metric(Histogram, "tandem_queue_seconds", "Time a feed waited for its pass", (), SECONDS),
    "pass": Metric(Histogram, "tandem_pass_seconds", "Time of a forward pass, sampling included", (), SECONDS),
    "feeds": Metric(Histogram, "tandem_pass_feeds", "Feeds in a forward pass: the batch size", (), FEEDS),
    "tokens": Metric(Histogram, "tandem_pass_tokens", "Tokens read in a forward pass", (), TOKENS),
    "first": Metric(
        Histogram,
        "tandem_first_verdict_seconds",
        "Time from a request to its verdict, for the first verdict of a stream: it brings the first token",
        (),
        SECONDS,
    ),
    "answer": Metric(
        Histogram, "tandem_answer_seconds", "Time from a request to the end of its answer, by kind", ("kind",), SECONDS
    ),
    "sessions": Metric(Gauge, "tandem_sessions", "Sessions that have a cache now"),
    "used": Metric(Gauge, "tandem_kv_used_bytes", "Bytes of key-value cache in use"),
    "budget": Metric(Gauge, "tandem_kv_budget_bytes", "Bytes of key-value cache that there may be"),
    "evicted": Metric(Counter, "tandem_evictions", "Idle sessions that lost their cache to others"),
    "prefix": Metric(
        Counter,
        "tandem_prefix_tokens",
        "Tokens of texts that came from their beginning on: kept in the cache from before, or read",
        ("source",),
    ),
    "read": Metric(Counter, "tandem_tokens_read", "Tokens that came with answered requests, by tenant", ("tenant",)),
    "written": Metric(Counter, "tandem_tokens_written", "Tokens that the target wrote, by tenant", ("tenant",)),
    "judged": Metric(
        Counter, "tandem_guesses_judged", "Guesses that the target judged as it wrote on, by tenant", ("tenant",)
    ),
    "stood": Metric(Counter, "tandem_guesses_stood", "Guesses that saved the target a pass, by tenant", ("tenant",)),
    "sent": Metric(Counter, "tandem_bundle_bytes", "Bytes of the bundle that were sent, by tenant", ("tenant",)),
    "refused": Metric(
        Counter, "tandem_refusals", "Calls that ended with an error, by tenant and reason", ("tenant", "reason")
    ),
    "streams": Metric(Gauge, "tandem_streams", "Open Decode streams, by tenant", ("tenant",)),
    "most": Metric(Gauge, "tandem_connections_limit", "Connections that there may be at once"),
    "limit": Metric(Gauge, "tandem_pass_limit_seconds", "After how long a forward pass is taken to hang"),
    "hung": Metric(Counter, "tandem_hangs", "Forward passes that were taken to hang; the process ends with the first"),
}

# Looked at when somebody asks for the metrics; what cannot be told is left out.
LOOKED_AT = {
    "connections": Metric(Gauge, "tandem_connections", "Open connections to the port, where the system counts them"),
    "under_way": Metric(
        Gauge, "tandem_pass_under_way_seconds", "How long the present forward pass takes already; 0 between passes"
    ),
    "looks": Metric(Counter, "tandem_second_looks", "Answers so close that the text was read once more for them"),
    "allocated": Metric(
        Gauge, "tandem_device_allocated_bytes", "Bytes of the device's memory that are in use, where it is a GPU"
    ),
    "reserved": Metric(
        Gauge, "tandem_device_reserved_bytes", "Bytes of the device's memory that are held, in use or not, likewise"
    ),
    "resident": Metric(Gauge, "tandem_engine_resident_bytes", "Bytes of memory of the process that the model runs in"),
}

METRICS = COUNTED | LOOKED_AT
