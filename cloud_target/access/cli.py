"""`cloud-target token new`: a token for a tenant, shown once, and the line by which the server knows it."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from cloud_target.options import values
from shared.errors import InputError
from shared.paths import typed_path

_EXAMPLES = """\
examples:
  cloud-target token new acme                                     the token, and the line for the file
  cloud-target token new acme --file tokens.txt > acme.token      the line is added, the token kept
  cloud-target serve --tokens tokens.txt

  cloud-target token new acme --days 90 --file tokens.txt         one that is refused after 90 days

To withdraw a token remove its line; a running server notices.
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `token new`."""
    parser = subparsers.add_parser(
        "token",
        help="make tokens for those who may call",
        description="Tokens for those who may call.",
        allow_abbrev=False,
    )
    steps = parser.add_subparsers(metavar="new", required=True)
    new = steps.add_parser(
        "new",
        help="make one",
        description="Make a random token for a tenant. It is shown once; the file holds only its hash.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    new.add_argument("tenant", metavar="TENANT", help="whose it is; letters, digits, dots, dashes and underscores")
    new.add_argument(
        "--file", type=typed_path, metavar="FILE", help="add the line to this file, and print the token only"
    )
    new.add_argument(
        "--days", type=values.count, metavar="N", help="the token is refused after so many days (default: never)"
    )
    new.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make a token; returns the exit status.

    Raises:
        InputError: no name for a tenant, no date, or a file that cannot be written.
    """
    from cloud_target.access.expiry import now
    from cloud_target.access.tokens import add_line, new_token

    try:
        expires = None if options.days is None else now() + timedelta(days=options.days)
    except OverflowError:
        raise InputError(f"there is no date {options.days} days from now; give fewer --days, or none") from None
    token, line = new_token(options.tenant, expires)
    if options.file is None:
        print(f"token (shown only now): {token}\nline for the file:      {line}")
        return 0
    add_line(options.file, line)
    print(token)
    print(f"cloud-target: {options.tenant} may call with it; the line is in {options.file}", file=sys.stderr)
    return 0
