"""`cloud-target bench`: what a target can carry."""

from __future__ import annotations

import argparse
import sys

from cloud_target.bench.plan import MIXES, Plan
from cloud_target.bench.settings import OwnTarget, RunningTarget, Settings
from cloud_target.options import dial, values
from cloud_target.options.handed_on import given
from cloud_target.server import options as serve
from shared.errors import InputError
from shared.paths import typed_path

# What the load test decides itself about a target of its own.
_MINE = ("--host", "--port", "--metrics-host", "--metrics-port", "--insecure-bind")
# What a target on loopback does without.
_PROTECTION = ("--tls-cert", "--tls-key", "--client-ca", "--tokens")

_DESCRIPTION = """\
Put a target under load: many simulated edges over real gRPC streams, which ask as edge-client does, and repeat what
fails. Without --address a target is started here on loopback, with any options of `serve`.

Texts are the target's own, recorded first; where a draft would be right is modelled by a Markov chain. So every answer
can be compared with the recording.
"""

_EXAMPLES = """\
examples:
  cloud-target bench --sessions 8
  cloud-target bench --sessions 64 --mix mixed --seconds 30 --kv-memory 2GiB
  cloud-target bench --sessions 32 --address gpu.example:50051 --ca ca.pem --token-file token --json bench.json
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `bench`."""
    parser = subparsers.add_parser(
        "bench",
        help="put a target under load and measure it",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    group = parser.add_argument_group("the load")
    group.add_argument("--sessions", type=int, default=8, metavar="N", help="edges at work at once (%(default)s)")
    group.add_argument("--calls", type=int, metavar="N", help="stop after so many calls")
    group.add_argument("--seconds", type=float, default=10.0, metavar="S", help="stop after so long (%(default)g)")
    group.add_argument(
        "--think-ms",
        type=float,
        default=10.0,
        metavar="MS",
        help="what an edge takes between an answer and its next call (%(default)g)",
    )
    group.add_argument(
        "--mix",
        choices=sorted(MIXES),
        default="sprint",
        help="what edges do; mixed: 3 sprint, 1 exact, 1 cloud (sprint)",
    )
    group.add_argument(
        "--prompt-tokens", type=values.span, default=(16, 64), metavar="A:B", help="shortest and longest prompt (16:64)"
    )
    group.add_argument(
        "--text-tokens", type=int, default=96, metavar="N", help="tokens of a text after its prompt (%(default)s)"
    )
    group.add_argument(
        "--agreement",
        type=float,
        default=0.85,
        metavar="SHARE",
        help="of tokens that the draft gets right; sprint asks about the others (%(default)s)",
    )
    group.add_argument(
        "--abandon",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of texts whose session is not released at the end (%(default)s)",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (%(default)s)")
    group.add_argument("--json", type=typed_path, metavar="FILE", help="also write the figures to this file")
    group.add_argument(
        "--metrics", metavar="HOST:PORT", help="where the target at --address offers its metrics, for the batch size"
    )
    dial.add_options(parser)
    serve.add_options(parser)  # for a target of its own
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the load test; returns the exit status: 1 if the target refused edges or answered nobody, 130 if interrupted.

    Raises:
        InputError: options that make no sense.
        TargetError: no target there, or one that refuses.
    """
    plan = Plan(
        arguments.sessions,
        arguments.calls,
        arguments.seconds,
        arguments.think_ms / 1e3,
        arguments.mix,
        arguments.prompt_tokens,
        arguments.text_tokens,
        arguments.agreement,
        arguments.abandon,
        arguments.seed,
    )
    if arguments.json and not arguments.json.absolute().parent.is_dir():
        raise InputError(f"cannot write {arguments.json}: there is no such directory")
    settings = Settings(plan, _target(arguments), arguments.json)
    from cloud_target.bench.main import bench

    return bench(settings, sys.stdout, sys.stderr)


def _target(arguments: argparse.Namespace) -> OwnTarget | RunningTarget:
    """The target at the address, or one of the test's own."""
    words, reaching = given(arguments, serve.add_options), given(arguments, dial.add_options)
    if mine := [word for word in words if word in _MINE]:
        raise InputError(f"{mine[0]} is not for a load test, whose own target is on loopback; leave it out")
    if (line := dial.read_settings(arguments)) is not None:
        if words:
            raise InputError(f"{words[0]} is for a target of the test's own; leave it out, or leave out --address")
        return RunningTarget(line, arguments.metrics)
    if reaching or arguments.metrics:
        raise InputError(f"{[*reaching, '--metrics'][0]} is for a target that runs already; give its --address")
    if protection := [word for word in words if word in _PROTECTION]:
        raise InputError(
            f"{protection[0]} is not for the test's own target, which is on loopback without TLS or tokens; start one, "
            "and give its --address"
        )
    return OwnTarget(tuple(words))
