"""The options of `cloud-target serve` that let operators see what it does, and what they switch on."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cloud_target.telemetry.logs import FORMATS, LEVELS, LogObserver
from cloud_target.telemetry.observer import Observer, together
from shared.addresses import bare_host
from shared.errors import InputError
from shared.version import version

if TYPE_CHECKING:
    from cloud_target.engine.interface import Description


def add_options(parser: argparse.ArgumentParser, port: object) -> None:
    """Add them to a parser; `port` reads a port number."""
    group = parser.add_argument_group("what operators see")
    group.add_argument(
        "--metrics-port",
        type=port,
        metavar="PORT",
        help="offer metrics for Prometheus at http://HOST:PORT/metrics; 0 picks a free port (default: none)",
    )
    group.add_argument(
        "--metrics-host",
        type=bare_host,
        default="127.0.0.1",
        metavar="HOST",
        help="address for the metrics; they hold no text, and ask nobody who they are (default: %(default)s)",
    )
    group.add_argument(
        "--log-format", choices=FORMATS, default="text", help="of the lines on standard error (default: %(default)s)"
    )
    group.add_argument(
        "--log-level",
        choices=LEVELS,
        default="warning",
        help="info: also one line a stream when it has ended; never text or ids (default: %(default)s)",
    )


def check(options: argparse.Namespace) -> None:
    """See that metrics can be offered where the options say; worth asking before a large model is loaded.

    Raises:
        InputError: they cannot.
    """
    if options.metrics_port is not None:
        from cloud_target.access.options import try_to_listen

        try:
            try_to_listen(options.metrics_host, options.metrics_port)
        except OSError as error:
            raise unusable(options.metrics_host, options.metrics_port, error) from None


def unusable(host: str, port: int, error: OSError) -> InputError:
    """What to say of an address for metrics that cannot be listened on."""
    why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else error.strerror
    return InputError(
        f"cannot offer metrics on {host}, port {port}: {why}; choose another --metrics-port, or --metrics-host"
    )


@contextmanager
def telemetry(options: argparse.Namespace, description: Description) -> Iterator[tuple[Observer, str | None]]:
    """The observer for the service, and where the metrics are, if anywhere, for as long as the block lasts.

    Raises:
        InputError: the address for the metrics cannot be listened on.
    """
    if options.metrics_port is None:
        yield LogObserver(), None
        return
    from cloud_target.telemetry.metrics import Metrics, exported

    metrics = Metrics(description, version())
    with ExitStack() as stack:
        try:
            address = stack.enter_context(exported(metrics, options.metrics_host, options.metrics_port))
        except OSError as error:
            raise unusable(options.metrics_host, options.metrics_port, error) from None
        yield together(metrics, LogObserver()), address
