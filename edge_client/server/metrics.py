"""What the local server does, as numbers for Prometheus. No text and no token gets in."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

from edge_client.stream import Completion

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts of one server.

    Args:
        under_way: how many texts are being written or wait, now.
    """

    def __init__(self, under_way: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        gauge = Gauge("tandem_edge_texts", "Texts that are being written or wait for their turn", registry=registry)
        gauge.set_function(under_way)
        self._requests = Counter(
            "tandem_edge_requests", "Requests by path and status", ["path", "status"], registry=registry
        )
        self._tokens = Counter(
            "tandem_edge_tokens", "Tokens written, by who decided on them", ["origin"], registry=registry
        )
        self._off = Counter(
            "tandem_edge_off_target", "Off-target tokens found, by criterion", ["criterion"], registry=registry
        )
        self._audited = Counter("tandem_edge_audited", "Tokens that the target has seen", registry=registry)
        self._calls = Counter("tandem_edge_calls", "Calls to the target", registry=registry)
        self._bytes = Counter(
            "tandem_edge_bytes", "Payload to and from the target, prompts included", ["direction"], registry=registry
        )
        self._seconds = Counter(
            "tandem_edge_seconds", "Time of finished texts, by what it was spent on", ["part"], registry=registry
        )

    def answered(self, path: str, status: int) -> None:
        """A request was answered."""
        self._requests.labels(path, str(status)).inc()

    def ended(self, completion: Completion) -> None:
        """A text has ended."""
        usage, times = completion.usage, completion.usage.times
        for origin in ("accepted", "confirmed", "target", "alone"):
            self._tokens.labels(origin).inc(getattr(usage, origin))
        self._off.labels("strict").inc(usage.audit.off_strict)
        self._off.labels("typical").inc(usage.audit.off_typical)
        self._audited.inc(usage.audit.known)
        self._calls.inc(usage.calls)
        self._bytes.labels("up").inc(usage.bytes_up + usage.bytes_prompt)
        self._bytes.labels("down").inc(usage.bytes_down)
        for part in ("total", "draft", "verifier", "waited", "network", "target"):
            self._seconds.labels(part).inc(getattr(times, f"{part}_ms") / 1e3)

    def text(self) -> bytes:
        """All of them, as Prometheus reads it."""
        return generate_latest(self._registry)
