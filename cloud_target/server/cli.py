"""`cloud-target serve`: host a target."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_target.options.sizes import parse_size, show_size
from cloud_target.telemetry import options as telemetry
from cloud_target.telemetry.logs import event, logging_to
from shared.addresses import bare_host
from shared.errors import InputError

if TYPE_CHECKING:
    from cloud_target.access.options import Access
    from cloud_target.engine.hf.engine import TargetEngine

# Seconds that calls under way may still take when the server stops: containers are killed after 10.
DRAIN_SECONDS = 8.0

log = logging.getLogger(__name__)

_EXAMPLES = """\
examples:
  cloud-target serve
  cloud-target serve --port 0 --threads 1               any free port, which the startup line names
  cloud-target serve --target ./my-model --device cuda
  cloud-target serve --target openai-community/gpt2-xl --dtype bfloat16 --kv-memory 8GiB --context 1024
  cloud-target serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key --tokens tokens.txt

It answers gRPC health checks, and without --tokens reflection too. On SIGTERM or Ctrl-C it finishes the calls under
way, and ends; a second signal ends it at once. docs/security.md says how to make certificates and tokens.
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
    add_options(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all that `serve` can be told; other commands that look at a server's configuration take the same."""
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
        type=bare_host,
        default="127.0.0.1",
        help="address to listen on; one that other machines reach needs TLS and tokens (default: %(default)s)",
    )
    parser.add_argument("--port", type=_port, default=50051, help="0 picks a free one (default: %(default)s)")
    parser.add_argument(
        "--insecure-bind", action="store_true", help="allow such a --host without TLS or tokens, in a network you trust"
    )
    parser.add_argument(
        "--kv-memory",
        type=_size,
        metavar="SIZE",
        help="memory for the keys and values of all texts, such as 512MiB or 2GiB; texts idle for longest make room "
        "for others (default: 1GiB on a CPU, half of what is free on CUDA)",
    )
    parser.add_argument(
        "--no-prefix-caching",
        action="store_true",
        help="read every text from its beginning, though another of the same tenant begins alike",
    )
    parser.add_argument(
        "--context", type=_positive, metavar="N", help="longest text in tokens (default: the model's own, at most 4096)"
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="CPU threads (default: one a core)")
    _add_protection(parser)
    telemetry.add_options(parser, _port)


def _add_protection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may call (docs/security.md)")
    group.add_argument("--tls-cert", type=Path, metavar="FILE", help="the server's certificate chain, PEM; for TLS")
    group.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM without a pass phrase")
    group.add_argument(
        "--client-ca",
        type=Path,
        metavar="FILE",
        help="let only clients connect that these authorities signed",
    )
    group.add_argument(
        "--tokens", type=Path, metavar="FILE", help="let only those call who have a token; see `cloud-target token new`"
    )
    group.add_argument(
        "--limits",
        default="",
        metavar="LIMITS",
        help="for each tenant that --tokens gives no others, such as "
        '"sessions=4 tokens-per-minute=60000 context=2048 calls=16" (default: none)',
    )
    group.add_argument(
        "--drain-seconds",
        type=float,
        default=DRAIN_SECONDS,
        metavar="S",
        help="how long calls under way may still take after SIGTERM or Ctrl-C (default: %(default)g)",
    )


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


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# argparse names these in "invalid ... value".
_positive.__name__, _port.__name__ = "count", "port"


def run(options: argparse.Namespace) -> int:
    """Load the target and serve it until a signal, or until its engine is dead (1); returns the exit status.

    Raises:
        InputError: the target cannot be loaded or served, or the address cannot be listened on.
    """
    with logging_to(None, options.log_format, options.log_level):
        return _serve(options)


def _serve(options: argparse.Namespace) -> int:
    import asyncio
    import signal

    # The library's own lines about every client that fails to connect; what matters is logged here.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from cloud_target.access.options import check_address

    access = read_access(options)
    check_address(options.host, options.port, access)
    telemetry.check(options)
    print(f"cloud-target: loading {options.target} ...", file=sys.stderr, flush=True)
    engine = load_engine(options)
    from cloud_target.server.server import TargetServer, serve

    size = sum(parameter.numel() for parameter in engine.model.parameters())

    def ready(address: str, metrics: str | None) -> None:
        who = engine.description
        about = (
            f"{_count(size)} parameters, {who.dtype} on {engine.device.type}, texts of {engine.context} tokens, "
            f"{engine.capacity} in {show_size(engine.capacity * engine.token_bytes)}"
        )
        print(f"cloud-target: serving {who.name} ({about}) on {address}", flush=True)
        seen = {"metrics": metrics} if metrics else {}
        event(log, "started", target=who.name, fingerprint=who.fingerprint, dtype=who.dtype, address=address, **seen)

    async def main() -> signal.Signals | None:
        with telemetry.telemetry(options, engine.description) as (observer, metrics):
            prefix_caching = not options.no_prefix_caching
            server = TargetServer(engine, options.host, options.port, access, observer, prefix_caching)
            return await serve(server, lambda address: ready(address, metrics), options.drain_seconds)

    ended_by = asyncio.run(main())
    if ended_by is None:
        return 1
    event(log, "ended", signal=ended_by.name)
    return 130 if ended_by == signal.SIGINT else 0


def load_engine(options: argparse.Namespace) -> TargetEngine:
    """The target and its cache, as the options say.

    Raises:
        InputError: the target cannot be loaded or served.
    """
    # Threads that spin while they wait slow down whatever else wants a core, above all the edge beside it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    from cloud_target.engine.hf.engine import TargetEngine
    from cloud_target.engine.hf.model import load_target

    if options.threads:
        torch.set_num_threads(options.threads)
    target = load_target(options.target, options.device, options.dtype)
    return TargetEngine(target, options.kv_memory, options.context)


def read_access(options: argparse.Namespace) -> Access:
    """What the options say of protection.

    Raises:
        InputError: files or limits that cannot be used, or half of a pair of options.
    """
    from cloud_target.access.options import Access
    from cloud_target.access.quotas import Quota
    from cloud_target.access.tls import TlsFiles
    from cloud_target.access.tokens import TokenFile

    if not (options.tls_cert and options.tls_key) and (options.tls_cert or options.tls_key or options.client_ca):
        raise InputError("TLS needs both --tls-cert and --tls-key")
    if not 0 <= options.drain_seconds < float("inf"):
        raise InputError(f"--drain-seconds must be 0 or more, not {options.drain_seconds}")
    tls = TlsFiles(options.tls_cert, options.tls_key, options.client_ca) if options.tls_cert else None
    if tls is not None:
        tls.read()
    return Access(
        tls,
        TokenFile(options.tokens) if options.tokens else None,
        Quota().override(options.limits.replace(",", " ").split()),
        options.insecure_bind,
    )


def _count(number: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
