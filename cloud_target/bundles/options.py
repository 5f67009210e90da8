"""The options of `cloud-target serve` that say which bundle it offers."""

from __future__ import annotations

import argparse

from cloud_target.bundles.settings import BundleSettings
from cloud_target.options import values
from shared.paths import typed_path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    usual = BundleSettings()
    group = parser.add_argument_group("what edges may fetch (docs/bundles.md)")
    group.add_argument(
        "--bundle",
        type=typed_path,
        metavar="DIR",
        help="a bundle that was made for this target: edges that were given none fetch it over the same connection",
    )
    group.add_argument(
        "--bundle-fetches",
        type=values.count,
        default=usual.fetches,
        metavar="N",
        help="most calls that send it at once; more are told to come back (default: %(default)s)",
    )


def read_settings(arguments: argparse.Namespace) -> BundleSettings:
    """What the command line says of the bundle."""
    return BundleSettings(arguments.bundle, arguments.bundle_fetches)
