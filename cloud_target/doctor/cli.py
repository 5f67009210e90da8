"""`cloud-target doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from cloud_target.options import dial
from cloud_target.options.handed_on import flags
from cloud_target.options.origins import told_of
from cloud_target.server import options as serve
from cloud_target.server.configuration import configure
from shared.configuration.resolve import use_defaults
from shared.errors import InputError

_DESCRIPTION = """\
Check this machine and a configuration of `serve`, given as there: by options, the environment and a file; or, with
--address, a target that runs. Each check is a line: ok, warn or fail, its name, and a sentence that says what to do.
"""

_EXAMPLES = """\
examples:
  cloud-target doctor
  cloud-target doctor --target ./my-model --device cuda --tls-cert server.pem --tls-key server.key --tokens tokens.txt
  cloud-target doctor --address gpu.example:50051 --ca ca.pem --token-file my.token

exit status: 1 if any check fails, 0 otherwise.
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this machine, a configuration, or a running target",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.is_configurable = True
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON list")
    dial.add_options(parser)
    serve.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print what they found; returns the exit status.

    Raises:
        InputError: options that make no sense.
    """
    configuration, reaching = flags(arguments, serve.add_options), flags(arguments, dial.add_options)
    # Of a target elsewhere one may ask whatever this machine's own configuration is.
    if "address" in arguments.said:
        use_defaults(arguments)
    else:
        configure(arguments)
    target = dial.read_settings(arguments)
    if target is None and reaching:
        raise InputError(f"{reaching[0]} is for a running target; give its --address")
    if target is not None and configuration:
        raise InputError(f"{configuration[0]} is for a configuration; leave it out, or leave out --address")

    from cloud_target.doctor.examination import of_configuration, of_target
    from shared.findings import Level, run_checks

    findings = []
    with of_configuration(serve.read_settings(arguments)) if target is None else of_target(target) as checks:
        for finding in run_checks(checks, lambda error: told_of(error, arguments)):
            findings.append(finding)
            if not arguments.json:
                print(finding, flush=True)
    counts = Counter(finding.level for finding in findings)
    if arguments.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        print(f"{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} failed")
    return int(counts[Level.FAIL] > 0)
