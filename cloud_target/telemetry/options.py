"""The options of `cloud-target serve` that let operators see what it does."""

from __future__ import annotations

import argparse
from contextlib import suppress

from cloud_target.options import values
from cloud_target.telemetry.logs import FORMATS, LEVELS
from cloud_target.telemetry.settings import TelemetrySettings
from shared.addresses import bare_host, parse_address
from shared.errors import InputError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    usual = TelemetrySettings()
    group = parser.add_argument_group("what operators see")
    group.add_argument(
        "--metrics-port",
        type=values.port,
        metavar="PORT",
        help="offer metrics for Prometheus at http://HOST:PORT/metrics; 0 picks a free port (default: none)",
    )
    group.add_argument(
        "--metrics-host",
        type=bare_host,
        default=usual.metrics_host,
        metavar="HOST",
        help="address for the metrics; they hold no text, and ask nobody who they are (default: %(default)s)",
    )
    group.add_argument(
        "--log-format",
        choices=FORMATS,
        default=usual.log_format,
        help="of the lines on standard error (default: %(default)s)",
    )
    group.add_argument(
        "--log-level",
        choices=LEVELS,
        default=usual.log_level,
        help="info: also one line a stream when it has ended; never text or ids (default: %(default)s)",
    )
    group.add_argument(
        "--otlp-traces-endpoint",
        type=collector,
        metavar="URL",
        help="send spans of streams, questions and passes to this collector of OpenTelemetry's, such as "
        "http://localhost:4317; needs the extra otel (default: none are made)",
    )


def collector(text: str) -> str:
    """The address of a collector, http://HOST:PORT or https://HOST:PORT."""
    scheme, _, address = text.partition("://")
    with suppress(InputError):
        if scheme in ("http", "https"):
            parse_address(address)
            return text
    raise argparse.ArgumentTypeError(f"must be http://HOST:PORT or https://HOST:PORT, not {text!r}")


def read_settings(arguments: argparse.Namespace) -> TelemetrySettings:
    """What the command line says of telemetry."""
    return TelemetrySettings(
        arguments.metrics_port,
        arguments.metrics_host,
        arguments.log_format,
        arguments.log_level,
        arguments.otlp_traces_endpoint,
    )
