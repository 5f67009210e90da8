"""`edge-client verifier`: what the bundle promises and audits have shown, and how that is forgotten."""

from __future__ import annotations

import argparse
import json

from edge_client.auto.paces import Paces
from edge_client.cli.console import CONTROLS
from edge_client.cli.verifier_report import as_dict, as_text
from edge_client.promise.memory import Memory
from shared.manifest import read_manifest


def report(options: argparse.Namespace) -> int:
    """Tell what there is to know; returns the exit status.

    Raises:
        InputError: the bundle, or what was remembered of it, cannot be read.
    """
    manifest = read_manifest(options.bundle)
    memory = Memory.open(manifest)
    print(json.dumps(as_dict(manifest, memory)) if options.json else as_text(manifest, memory).translate(CONTROLS))
    return 0


def reset(options: argparse.Namespace) -> int:
    """Forget what audits have shown, and what was measured of targets; returns the exit status.

    Raises:
        InputError: the bundle cannot be read, or a file not removed.
    """
    manifest = read_manifest(options.bundle)
    memory, paces = Memory.at(manifest), Paces.at(manifest)
    print(f"removed {memory.path}" if memory.forget() else f"there was nothing to remove at {memory.path}")
    if paces.forget():
        print(f"removed {paces.path}")
    return 0
