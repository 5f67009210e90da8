"""The options of `cloud-target serve`; other commands that look at a server's configuration take the same."""

from __future__ import annotations

import argparse

from cloud_target.access import options as access
from cloud_target.bundles import options as bundles
from cloud_target.engine.settings import EngineSettings
from cloud_target.options import values
from cloud_target.server.settings import ServeSettings
from cloud_target.telemetry import options as telemetry
from shared.addresses import bare_host
from shared.paths import typed_place


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all that `serve` can be told."""
    usual = ServeSettings()
    parser.add_argument(
        "--target",
        type=typed_place,
        default=usual.engine.target,
        metavar="pocket|DIR|HUB_ID",
        help="the model: the one that ships with Tandem, a directory, or a Hugging Face id (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default=usual.engine.device,
        help="auto takes CUDA if it is there (default: auto)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="arithmetic of the forward pass (default: float32 on a CPU, bfloat16 on CUDA)",
    )
    parser.add_argument(
        "--host",
        type=bare_host,
        default=usual.host,
        help="address to listen on; one that other machines reach needs TLS and tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=values.port, default=usual.port, help="0 picks a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--insecure-bind", action="store_true", help="allow such a --host without TLS or tokens, in a network you trust"
    )
    parser.add_argument(
        "--kv-memory",
        type=values.size,
        metavar="SIZE",
        help="memory for the keys and values of all texts, such as 512MiB or 2GiB; texts idle for longest make room "
        "for others (default: 1GiB on a CPU, half of what is free on CUDA)",
    )
    parser.add_argument(
        "--no-prefix-caching",
        action="store_true",
        help="read every text from its beginning, though another of the same tenant begins alike",
    )
    parser.add_argument(
        "--context",
        type=values.count,
        metavar="N",
        help="longest text in tokens (default: the model's own, at most 4096)",
    )
    parser.add_argument("--threads", type=values.count, metavar="N", help="CPU threads (default: one a core)")
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=usual.drain_seconds,
        metavar="S",
        help="how long calls under way may still take after SIGTERM or Ctrl-C (default: %(default)g)",
    )
    access.add_options(parser)
    bundles.add_options(parser)
    telemetry.add_options(parser)


def read_settings(arguments: argparse.Namespace) -> ServeSettings:
    """What the command line says of a server.

    Raises:
        InputError: a value that makes no sense.
    """
    engine = EngineSettings(
        arguments.target,
        arguments.device,
        arguments.dtype,
        arguments.kv_memory,
        arguments.context,
        arguments.threads,
    )
    return ServeSettings(
        engine,
        arguments.host,
        arguments.port,
        not arguments.no_prefix_caching,
        arguments.drain_seconds,
        access.read_settings(arguments),
        telemetry.read_settings(arguments),
        bundles.read_settings(arguments),
    )
