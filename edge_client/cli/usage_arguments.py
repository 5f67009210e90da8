"""The arguments of `edge-client usage`."""

from __future__ import annotations

import argparse

from edge_client.cli.numbers import whole
from edge_client.cli.parser import PlainParser


def usage_parser() -> PlainParser:
    """The command line of `edge-client usage`; it is about what was, so what is configured does not narrow it."""
    parser = PlainParser(
        prog="edge-client usage",
        description="What this device's texts took of each target, day by day, and what streaming them would cost.",
        epilog="examples:\n  edge-client usage --days 7\n  edge-client usage --target gpu.example:50051 --json\n"
        "  edge-client usage --reset --yes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command="usage")
    parser.add_argument(
        "--days", type=whole, default=30, metavar="N", help="so many local days, up to today (default: %(default)s)"
    )
    parser.add_argument(
        "--target",
        metavar="TARGET",
        help="of one target only: its address, its name, or how its fingerprint begins (4 characters or more)",
    )
    parser.add_argument("--json", action="store_true", help="as one line of JSON")
    parser.add_argument("--reset", action="store_true", help="forget all of it; caps begin anew, too")
    parser.add_argument("--yes", action="store_true", help="with --reset, do not ask whether that is meant")
    return parser
