"""The observer of a service and its metrics for Prometheus, offered as long as it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cloud_target.options.listen import try_to_listen, why_not
from cloud_target.telemetry.logs import LogObserver
from cloud_target.telemetry.observer import Observer, together
from cloud_target.telemetry.settings import TelemetrySettings
from shared.errors import InputError
from shared.version import version

if TYPE_CHECKING:
    from cloud_target.engine.interface import Description


def check(settings: TelemetrySettings) -> None:
    """See that metrics can be offered where they should be; worth asking before a large model is loaded.

    Raises:
        InputError: they cannot.
    """
    if settings.metrics_port is not None:
        try:
            try_to_listen(settings.metrics_host, settings.metrics_port)
        except OSError as error:
            raise _unusable(settings.metrics_host, settings.metrics_port, error) from None


@contextmanager
def telemetry(settings: TelemetrySettings, description: Description) -> Iterator[tuple[Observer, str | None]]:
    """The observer for the service, and where the metrics are, if anywhere, for as long as the block lasts.

    Raises:
        InputError: the address for the metrics cannot be listened on.
    """
    host, port = settings.metrics_host, settings.metrics_port
    if port is None:
        yield LogObserver(), None
        return
    from cloud_target.telemetry.metrics import Metrics
    from cloud_target.telemetry.metrics_port import offered_at

    metrics = Metrics(description, version())
    with ExitStack() as stack:
        try:
            address = stack.enter_context(offered_at(host, port, metrics.registry))
        except OSError as error:
            raise _unusable(host, port, error) from None
        yield together(metrics, LogObserver()), address


def _unusable(host: str, port: int, error: OSError) -> InputError:
    return InputError(
        f"cannot offer metrics on {host}, port {port}: {why_not(error)}; choose another --metrics-port, or "
        "--metrics-host"
    )
