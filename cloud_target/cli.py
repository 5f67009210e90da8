"""The command line of the cloud: `cloud-target serve`, and what makes models for both sides."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from cloud_target.options.origins import told_of
from shared.configuration.parser import ConfigurableParser
from shared.errors import INTERRUPTED, InputError, TandemError
from shared.extras import missing
from shared.interrupts import interruptible
from shared.streams import leave_the_pipe, unwritten
from shared.version import add_version_option

# Each adds its commands with `add_commands`; a command sets `run`, from the arguments to an exit status. None of them
# imports anything heavy before it runs.
COMMANDS = (
    "cloud_target.server.cli",
    "cloud_target.server.config_cli",
    "cloud_target.access.cli",
    "cloud_target.doctor.cli",
    "cloud_target.bench.cli",
    "cloud_target.prepare.cli",
    "cloud_target.distil.cli",
    "cloud_target.training.cli",
    "cloud_target.export.cli",
    "cloud_target.gguf.cli",
)
# Those that need another extra than "cloud".
_EXTRAS = dict.fromkeys(("distil", "evaluate", "export", "prepare", "train"), "train") | {"gguf": "gguf"}

_EXAMPLES = """
examples:
  cloud-target serve                                      the target that ships with Tandem, on 127.0.0.1:50051
  cloud-target serve --target ./my-model --device cuda    a model of your own
  cloud-target serve --target openai-community/gpt2-xl --dtype bfloat16 --kv-memory 8GiB --context 1024
  cloud-target config show                                what `serve` would run with, and where each value comes from
  cloud-target token new acme --file tokens.txt           let a tenant call
  cloud-target doctor                                     is this machine fit to serve?
  cloud-target bench --sessions 32                        how much can it carry?
  cloud-target prepare --help                             train a verifier for your pair, and make its bundle
  cloud-target distil --help                              make a draft for your target
  cloud-target train --help                               make a target and a draft
  cloud-target export --help                              make a bundle without a trained verifier
  cloud-target gguf --help                                make a GGUF file a model for the other commands

exit status: 0 done; 2 something given cannot be used; 1 any other error.
"""


class _Parser(ConfigurableParser):
    """Complains in one sentence, as every other error does."""

    is_configurable = False  # but for those commands that say so

    def error(self, message: str) -> NoReturn:
        self.exit(InputError.exit_status, f"cloud-target: {message}; see `{self.prog} --help`\n")


def parse_args(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it makes no sense."""
    return make_parser().parse_args(arguments)


def make_parser() -> argparse.ArgumentParser:
    """What understands the command line."""
    parser = _Parser(
        prog="cloud-target",
        description="Host the target, the large model of an edge-cloud pair; train pairs; make bundles for the edge.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version_option(parser)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(name).add_commands(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    options = argparse.Namespace()
    try:
        options = parse_args(given)
        with interruptible():
            status = options.run(options)
            sys.stdout.flush()
        return status
    except TandemError as error:
        return _refuse(error, options)
    except ImportError as error:
        what = f"cloud-target {given[0]}"
        if refusal := missing(error, what, _EXTRAS.get(given[0], "cloud")):
            return _refuse(refusal, options)
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return leave_the_pipe()
    except OSError as error:
        print(unwritten("cloud-target", error), file=sys.stderr)
        return TandemError.exit_status


def _refuse(error: TandemError, options: argparse.Namespace) -> int:
    print(f"cloud-target: {told_of(error, options)}", file=sys.stderr)
    return error.exit_status
