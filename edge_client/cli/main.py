"""The command line of the device: `edge-client "Once upon a time"`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from edge_client.cli.arguments import parse_args
from edge_client.cli.process import exit_status_of, signals_end_it
from shared.errors import TandemError
from shared.extras import missing
from shared.interrupts import interruptible
from shared.streams import leave_the_pipe, unwritten

# Where each command is run: imported when it is needed, for `--help` must not wait for onnxruntime and grpc.
_COMMANDS = {
    "bundle add": "edge_client.cli.kept:add",
    "bundle list": "edge_client.cli.kept:list_kept",
    "bundle pull": "edge_client.cli.kept:pull",
    "bundle remove": "edge_client.cli.kept:remove",
    "bundle verify": "edge_client.cli.kept:verify",
    "chat": "edge_client.cli.chat:run",
    "config path": "edge_client.cli.config:path",
    "config show": "edge_client.cli.config:show",
    "doctor": "edge_client.cli.doctor:run",
    "generate": "edge_client.cli.generate:run",
    "info": "edge_client.cli.bundle:run",
    "serve": "edge_client.cli.serve:run",
    "usage": "edge_client.cli.usage:run",
    "verifier report": "edge_client.cli.verifier:report",
    "verifier reset": "edge_client.cli.verifier:reset",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = argparse.Namespace()
    try:
        options = parse_args(sys.argv[1:] if arguments is None else arguments)
        return _run(options)
    except TandemError as error:
        return _refuse(error, options)
    except ImportError as error:
        if refusal := missing(error, "edge-client", "edge"):
            return _refuse(refusal, options)
        raise
    except KeyboardInterrupt as end:
        print(file=sys.stderr)
        return exit_status_of(end)
    except BrokenPipeError:
        return leave_the_pipe()
    except OSError as error:
        print(unwritten("edge-client", error), file=sys.stderr)
        return TandemError.exit_status


def _run(options: argparse.Namespace) -> int:
    module, _, function = _COMMANDS[options.command].partition(":")
    command = getattr(import_module(module), function)
    with interruptible(), signals_end_it():
        status: int = command(options)
        sys.stdout.flush()
    return status


def _refuse(error: TandemError, options: argparse.Namespace) -> int:
    from edge_client.cli.console import say, with_options

    say(with_options(error, getattr(options, "origins", {})))
    return error.exit_status
