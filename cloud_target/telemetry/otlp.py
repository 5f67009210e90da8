"""Sends spans to a collector over OTLP, OpenTelemetry's own protocol: `cloud-target serve --otlp-traces-endpoint`.

How many are sampled, further attributes of the process, certificates and the like are set by the variables of the
environment that every program with OpenTelemetry knows (`OTEL_TRACES_SAMPLER` and so on).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from cloud_target.telemetry.traces import Traces
from shared.errors import InputError
from shared.extras import missing
from shared.version import version

log = logging.getLogger(__name__)
OPTION = "--otlp-traces-endpoint"
SERVICE = "tandem-target"
# Seconds that the last spans may take to leave when the server ends; a collector that is away keeps nobody waiting.
GOODBYE = 0.3


def check() -> None:
    """See that spans can be made and sent by what is installed.

    Raises:
        InputError: a package is missing.
    """
    try:
        import_module("opentelemetry.sdk.trace.export")
        import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
    except ImportError as error:
        raise missing(error, OPTION, "cloud,otel") or error from None


@contextmanager
def spans_to(endpoint: str) -> Iterator[Traces]:
    """Traces whose spans go to a collector, in the background, for as long as the block lasts.

    Args:
        endpoint: "http://HOST:PORT", or "https://..." with TLS.

    Raises:
        InputError: a package is missing, or a variable of OpenTelemetry's has a value that it does not take.
    """
    check()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from cloud_target.telemetry.spans import Spans

    ours = Resource.create({SERVICE_NAME: SERVICE, SERVICE_VERSION: version()})
    resource = ours.merge(OTELResourceDetector().detect())  # whoever names the service otherwise goes before
    try:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    except (OSError, ValueError) as error:
        raise InputError(
            f"spans cannot be sent ({error}); look at the variables OTEL_... of the environment, or leave out {OPTION}"
        ) from None
    try:
        yield Spans(provider, version())
    finally:
        last = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(GOODBYE)
        if last.is_alive():
            log.warning("the collector does not take the last spans; they are lost")
