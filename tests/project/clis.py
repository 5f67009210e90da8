"""The two command lines as their own parsers see them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from tests.project.tree import need

PARSERS = {"edge-client": "edge_client.cli.main", "cloud-target": "cloud_target.cli"}


def parses(program: str, arguments: Sequence[str]) -> bool:
    """Whether `program` understands `arguments`; asks for help do not count as misunderstandings.

    Each command line offers `parse_args(arguments)`, which exits with status 2 at what it does not understand.
    """
    name = PARSERS[program]
    need(f"{name.replace('.', '/')}.py")
    try:
        importlib.import_module(name).parse_args(list(arguments))
    except SystemExit as stop:
        return not stop.code
    return True
