"""`cloud-target serve`: host a target."""

from __future__ import annotations

import argparse
import os
import sys

_EXAMPLES = """\
examples:
  cloud-target serve
  cloud-target serve --port 0 --threads 1               any free port, which the startup line names
  cloud-target serve --target ./my-model --device cuda
  cloud-target serve --target openai-community/gpt2-xl --dtype bfloat16 --slots 16 --context 1024

It answers gRPC health checks and reflection, and stops on SIGTERM or Ctrl-C.
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
    parser.add_argument(
        "--target",
        default="pocket",
        metavar="pocket|DIR|HUB_ID",
        help="the model: the one that ships with Tandem, a directory, or a Hugging Face id (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto takes CUDA if it is there (default: auto)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="arithmetic of the forward pass (default: float32 on a CPU, bfloat16 on CUDA)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; not encrypted, so this machine only (default: %(default)s)",
    )
    parser.add_argument("--port", type=_port, default=50051, help="0 picks a free one (default: %(default)s)")
    parser.add_argument(
        "--insecure-bind", action="store_true", help="allow a --host that other machines reach, without encryption"
    )
    parser.add_argument(
        "--slots",
        type=_positive,
        default=8,
        metavar="N",
        help="texts whose cache is kept at once (default: %(default)s)",
    )
    parser.add_argument(
        "--context", type=_positive, metavar="N", help="longest text in tokens (default: the model's own, at most 4096)"
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="CPU threads (default: one a core)")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 16:
        raise ValueError
    return value


# argparse names these in "invalid ... value".
_positive.__name__, _port.__name__ = "count", "port"


def run(options: argparse.Namespace) -> int:
    """Load the target and serve it until a signal; returns the exit status.

    Raises:
        InputError: the target cannot be loaded or served, or the address cannot be listened on.
    """
    import asyncio
    import signal

    # Threads that spin while they wait slow down whatever else wants a core, above all the edge beside it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from cloud_target.service.server import check_address

    check_address(options.host, options.port, options.insecure_bind)
    print(f"cloud-target: loading {options.target} ...", file=sys.stderr, flush=True)
    import torch

    from cloud_target.engine.engine import TargetEngine
    from cloud_target.engine.model import load_target
    from cloud_target.service.server import TargetServer, serve

    if options.threads:
        torch.set_num_threads(options.threads)
    target = load_target(options.target, options.device, options.dtype)
    engine = TargetEngine(target, options.slots, options.context)
    size = sum(parameter.numel() for parameter in target.model.parameters())

    def ready(address: str) -> None:
        who = engine.description
        about = (
            f"{_count(size)} parameters, {who.dtype} on {engine.device.type}, {engine.slots} x {engine.context} tokens"
        )
        print(f"cloud-target: serving {who.name} ({about}) on {address}", flush=True)

    async def main() -> signal.Signals:
        return await serve(TargetServer(engine, options.host, options.port, options.insecure_bind), ready)

    ended_by = asyncio.run(main())
    return 130 if ended_by == signal.SIGINT else 0


def _count(number: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
