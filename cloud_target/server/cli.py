"""`cloud-target serve`: host a target."""

from __future__ import annotations

import argparse
import os

from cloud_target.server.configuration import configure
from cloud_target.server.options import add_options, read_settings
from cloud_target.server.retiring import not_yet

_EXAMPLES = """\
examples:
  cloud-target serve
  cloud-target serve --port 0 --threads 1               any free port, which the startup line names
  cloud-target serve --target ./my-model --device cuda
  cloud-target serve --target openai-community/gpt2-xl --dtype bfloat16 --kv-memory 8GiB --context 1024
  cloud-target serve --target ./my-model --engine vllm
  cloud-target serve --target ./my-model --engine vllm --lora poet=./poet   texts may name this adapter
  cloud-target serve --target ./my-model-awq --engine vllm -- --quantization awq --tensor-parallel-size 2
  cloud-target serve --target ./my-model --bundle ./my-bundle   edges without a bundle fetch this one
  cloud-target serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key --tokens tokens.txt

Every option may stand in a file and in the environment, too, --kv-memory as TANDEM_SERVE_KV_MEMORY: see
`cloud-target config --help`.

It answers gRPC health checks (the service tandem.liveness says whether the process answers, the empty name whether it
takes new calls), and without --tokens reflection too. On SIGTERM or Ctrl-C it finishes the calls under way, and ends; a
second signal ends it at once. SIGUSR1 takes it out of service, SIGUSR2 back into it. docs/operations.md has more, and
docs/security.md says how to make certificates and tokens.

exit status: 0 after SIGTERM; 130 after Ctrl-C; 2 a value cannot be used; where another one is to be started, 1 as the
engine fails at every pass, no call is accepted any more, or Python does not come to run, and 3 as a pass does not end.
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `serve`."""
    parser = subparsers.add_parser(
        "serve",
        help="host a target over gRPC",
        description="Host a target over gRPC, for edges to ask.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.is_configurable = True
    add_options(parser)
    parser.add_argument(
        "vllm_options", nargs="*", metavar="-- VLLM_OPTION", help="options of vLLM's own, with --engine vllm"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal, or until the engine is dead (1); returns the exit status.

    Raises:
        InputError: a value cannot be used, the target cannot be loaded or served, or the address cannot be listened on.
    """
    settings = read_settings(configure(arguments))
    # The library's own lines about every client that fails to connect; what matters is logged here.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with not_yet():
        from cloud_target.server.process import serve_until_signal

        return serve_until_signal(settings)
