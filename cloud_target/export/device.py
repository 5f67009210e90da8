"""A finished bundle, loaded and run as a device does it: by the edge, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.errors import BundleError

# The edge is the other side of the wire, and no part of this program. It comes with every installation.
_TRIAL = """\
import sys
from edge_client import Edge
with Edge(bundle=sys.argv[1], memory=False) as edge:
    edge.generate([int(token) for token in sys.argv[2:]], max_tokens=4)
"""
_PROMPT = 32


def try_on_device(bundle: Path, ids: Sequence[int], context: int) -> None:
    """Let an edge write a few tokens with a bundle.

    Args:
        ids: a prompt; as much of it as leaves room in `context` is given.

    Raises:
        BundleError: it cannot.
    """
    prompt = map(str, ids[: max(min(_PROMPT, context - 4), 1)])
    command = [sys.executable, "-c", _TRIAL, str(bundle), *prompt]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise BundleError(f"a device cannot run this bundle ({said}); take another draft, and report this one")
