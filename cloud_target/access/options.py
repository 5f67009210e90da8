"""The options of `cloud-target serve` that say who may call."""

from __future__ import annotations

import argparse

from cloud_target.access.settings import AccessSettings
from shared.paths import typed_path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, but for --insecure-bind, which stands beside --host."""
    group = parser.add_argument_group("who may call (docs/security.md)")
    group.add_argument(
        "--tls-cert", type=typed_path, metavar="FILE", help="the server's certificate chain, PEM; for TLS"
    )
    group.add_argument("--tls-key", type=typed_path, metavar="FILE", help="its key, PEM without a pass phrase")
    group.add_argument(
        "--client-ca",
        type=typed_path,
        metavar="FILE",
        help="let only clients connect that these authorities signed",
    )
    group.add_argument(
        "--tokens",
        type=typed_path,
        metavar="FILE",
        help="let only those call who have a token; see `cloud-target token new`",
    )
    group.add_argument(
        "--limits",
        default="",
        metavar="LIMITS",
        help="for each tenant that --tokens gives no others, such as "
        '"sessions=4 tokens-per-minute=60000 context=2048 calls=16 bundle-mib-per-hour=512" (default: none)',
    )


def read_settings(arguments: argparse.Namespace) -> AccessSettings:
    """What the command line says of access."""
    return AccessSettings(
        arguments.tls_cert,
        arguments.tls_key,
        arguments.client_ca,
        arguments.tokens,
        arguments.limits,
        arguments.insecure_bind,
    )
