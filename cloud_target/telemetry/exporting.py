"""What tells operators of a service as long as it runs: its observer, its metrics for Prometheus, and its traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cloud_target.options.listen import try_to_listen, why_not
from cloud_target.telemetry import otlp
from cloud_target.telemetry.logs import LogObserver
from cloud_target.telemetry.observer import Observer, together
from cloud_target.telemetry.settings import TelemetrySettings
from cloud_target.telemetry.traces import NO_TRACES, Traces
from shared.errors import InputError
from shared.version import version

if TYPE_CHECKING:
    from cloud_target.engine.interface import Engine


def check(settings: TelemetrySettings) -> None:
    """See that metrics can be offered where they should be, and spans made: before a large model is loaded.

    Raises:
        InputError: they cannot.
    """
    if settings.metrics_port is not None:
        try:
            try_to_listen(settings.metrics_host, settings.metrics_port)
        except OSError as error:
            raise _unusable(settings.metrics_host, settings.metrics_port, error) from None
    if settings.traces is not None:
        otlp.check()


@contextmanager
def telemetry(settings: TelemetrySettings, engine: Engine) -> Iterator[tuple[Observer, Traces, str | None]]:
    """The observer for the service, its traces, and where the metrics are, if anywhere, for as long as the block lasts.

    Raises:
        InputError: the address for the metrics cannot be listened on, or spans cannot be made.
    """
    host, port = settings.metrics_host, settings.metrics_port
    with ExitStack() as stack:
        traces = stack.enter_context(otlp.spans_to(settings.traces)) if settings.traces else NO_TRACES
        if port is None:
            yield LogObserver(), traces, None
            return
        from cloud_target.telemetry.metrics import Metrics
        from cloud_target.telemetry.metrics_port import offered_at

        metrics = Metrics(engine.description, version(), vitals=engine.vitals)
        try:
            address = stack.enter_context(offered_at(host, port, metrics.registry))
        except OSError as error:
            raise _unusable(host, port, error) from None
        yield together(metrics, LogObserver()), traces, address


def _unusable(host: str, port: int, error: OSError) -> InputError:
    return InputError(
        f"cannot offer metrics on {host}, port {port}: {why_not(error)}; choose another --metrics-port, or "
        "--metrics-host"
    )
