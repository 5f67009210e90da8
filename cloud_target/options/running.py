"""Options of commands that compute for long: what is random, and what they compute on."""

from __future__ import annotations

import argparse

from cloud_target.options import values


def add_options(parser: argparse.ArgumentParser, device: str | None = "that the models run on") -> None:
    """Add `--seed`, `--threads` and `--device`.

    Args:
        device: what the last one is, for people; None for a command that needs none.
    """
    parser.add_argument("--seed", type=values.seed, default=0, metavar="N", help="of everything random (default: 0)")
    if device is not None:
        parser.add_argument("--device", default="cpu", help=f"{device}: cpu, cuda or cuda:1 (default: cpu)")
    parser.add_argument(
        "--threads", type=values.count, metavar="N", help="CPU threads (default: as many as torch takes)"
    )
