"""What `edge-client doctor` understands."""

from __future__ import annotations

import argparse

from edge_client.cli.options import add_access, add_budget, add_bundle, add_sampling
from edge_client.cli.parser import Parser
from edge_client.cli.spending import add_spending

_DESCRIPTION = """\
Check this device, and with --target the way to a target, and say whether splitting pays here. Each check is a line: ok,
warn or fail, its name, and a sentence that says what to do. With --pair, which takes up to two minutes, texts are
written in each mode, and a table says how fast each would be on links of other lengths, and what it would cost.
"""

_EXAMPLES = """
examples:
  edge-client doctor
  edge-client doctor --target gpu.example:50051 --tls --token-file my.token
  edge-client doctor --target gpu.example:50051 --pair
  edge-client doctor --target gpu.example:50051 --pair --budget 5% --criterion strict --price-second 0.0005
  edge-client doctor --json | python -m json.tool

What is sent to the target are fixed prompts, what follows them, and random bytes; never a text of yours. The checks
of the target end after 20 seconds, with --pair all of them within two minutes, whatever the network does. Where
TANDEM_LOCAL_ONLY=1 is in the environment, nothing is sent, and no socket is opened.

exit status: 0 texts can be written; 1 they cannot, or not with this target.
"""


def doctor_parser() -> Parser:
    """The options of `doctor`: where things are, and those on which it hangs whether splitting pays."""
    parser = Parser(
        prog="edge-client doctor",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command="doctor")
    parser.add_argument("--json", action="store_true", help="the findings as one JSON list, with their values")
    parser.add_argument(
        "--pair",
        action="store_true",
        help="write texts with the target in each mode, and tell on which links which of them pay, and what they cost",
    )
    group = parser.add_argument_group("where things are")
    group.add_argument(
        "--target", metavar="HOST:PORT", help="where `cloud-target serve` listens (default: this device only)"
    )
    add_bundle(group, None, "default: those that were last used with the target, or the embedded ones")
    add_access(parser)
    group = parser.add_argument_group("what texts it is about")
    add_budget(group)
    add_sampling(group)
    add_spending(parser)
    return parser
