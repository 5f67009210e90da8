"""What `edge-client bundle` understands."""

from __future__ import annotations

import argparse

from edge_client.cli.options import add_target
from shared.paths import typed_path

_EXAMPLES = """
examples:
  edge-client bundle list
  edge-client bundle list --json
  edge-client bundle pull --target gpu.example:50051 --tls --token-file my.token
  edge-client bundle add ./my-bundle                   as if a target had sent it
  edge-client bundle verify                            all; or those that are named
  edge-client bundle remove 3fa2c1d0                   by its digest, the beginning of it, or its name
  edge-client bundle remove --unfinished               what an interrupted try has left

They are kept in ~/.local/share/tandem/bundles (environment: TANDEM_BUNDLES), each in a directory under its digest.
"""


def fill_kept_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the commands about bundles that are kept."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    steps = parser.add_subparsers(metavar="list|pull|add|verify|remove", required=True)

    def step(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = steps.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
        )
        made.set_defaults(command=f"bundle {name}")
        return made

    step("list", "say which bundles are kept, for which targets, and when each was last used").add_argument(
        "--json", action="store_true", help="as one line of JSON"
    )
    add_target(
        step("pull", "fetch the bundle that a target offers, unless it is kept, and use it again if it was set aside"),
        writes=False,
    )
    step("add", "keep a copy of a bundle, for the targets that it was made for").add_argument(
        "directory", type=typed_path, metavar="DIR", help="of a bundle"
    )
    for name, text, number in (
        ("verify", "compare the files of kept bundles with their digests", "*"),
        ("remove", "remove bundles that are kept", "*"),
    ):
        made = step(name, text)
        made.add_argument(
            "bundles",
            nargs=number,
            metavar="BUNDLE",
            help="its digest, the first four or more characters of that, or its name"
            + ("; none means all" if name == "verify" else ""),
        )
    made.add_argument("--unfinished", action="store_true", help="also what an interrupted try has left")
    return parser
