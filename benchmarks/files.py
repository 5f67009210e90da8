"""The files into which a benchmark writes what it prints, for the documents and for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.tables import provenance
from shared.paths import typed_path


def add_files(parser: argparse.ArgumentParser, rows: str = "") -> None:
    """The arguments for a report in Markdown, and for rows in JSON, if they have a name for the help."""
    if rows:
        parser.add_argument("--json", type=typed_path, metavar="FILE", help=f"write the {rows} there as well")
    parser.add_argument("--markdown", type=typed_path, metavar="FILE", help="write the report there as well")


def write_files(options: argparse.Namespace, module: str, parts: Sequence[str], rows: Sequence[Any] = ()) -> None:
    """Write those that are asked for.

    Args:
        module: whose report it is, such as "benchmarks.promise".
        parts: of the report.
        rows: dataclasses.
    """
    if options.markdown:
        options.markdown.write_text("\n\n".join([provenance(module), *parts]) + "\n", encoding="utf-8")
    if rows and options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
