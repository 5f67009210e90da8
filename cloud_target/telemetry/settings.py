"""What operators want to see of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TelemetrySettings:
    """By default warnings and errors as text, and no metrics.

    Attributes:
        metrics_port: where metrics for Prometheus are offered; 0 picks a free port, None offers none.
        metrics_host: address for them, without brackets.
        log_format: of the lines on standard error, one of `logs.FORMATS`.
        log_level: one of `logs.LEVELS`.
        traces: where spans go, "http://HOST:PORT" of a collector; None makes none.
    """

    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    log_format: str = "text"
    log_level: str = "warning"
    traces: str | None = None
