"""The options of `cloud-target serve`; other commands that look at a server's configuration take the same."""

from __future__ import annotations

import argparse

from cloud_target.access import options as access
from cloud_target.bundles import options as bundles
from cloud_target.engine.settings import DTYPES, HF, VLLM, EngineSettings
from cloud_target.options import values
from cloud_target.server.connections import CONNECTIONS, ConnectionSettings
from cloud_target.server.settings import HANGS, ServeSettings
from cloud_target.telemetry import options as telemetry
from shared.addresses import bare_host
from shared.errors import InputError
from shared.paths import typed_place


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all that `serve` can be told."""
    usual = ServeSettings()
    parser.add_argument(
        "--target",
        type=typed_place,
        default=usual.engine.target,
        metavar="pocket|DIR|HUB_ID",
        help="the model: the one that ships with Tandem, a directory, or a Hugging Face id (default: %(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=(HF, VLLM),
        default=usual.engine.engine,
        help="what runs the model: hf is transformers, with a cache and batches of our own; vllm is vLLM, where it is "
        "installed, with all that it can load (default: %(default)s)",
    )
    parser.add_argument(
        "--lora",
        type=values.named_directory,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="with --engine vllm, a LoRA adapter of the model, as PEFT writes it, that texts may name; may be given "
        "several times (default: none)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default=usual.engine.device,
        help="auto takes CUDA if it is there (default: auto)",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="arithmetic of the forward pass (default: float32 on a CPU, bfloat16 on CUDA)",
    )
    parser.add_argument(
        "--host",
        type=bare_host,
        default=usual.host,
        help="address to listen on; one that other machines reach needs TLS and tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=values.port, default=usual.port, help="0 picks a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--insecure-bind", action="store_true", help="allow such a --host without TLS or tokens, in a network you trust"
    )
    parser.add_argument(
        "--kv-memory",
        type=values.size,
        metavar="SIZE",
        help="memory for the keys and values of all texts, such as 512MiB or 2GiB; texts idle for longest make room "
        "for others (default: half of what is free, and at most 1GiB on a CPU)",
    )
    parser.add_argument(
        "--no-prefix-caching",
        action="store_true",
        help="read every text from its beginning, though another of the same tenant begins alike",
    )
    parser.add_argument(
        "--context",
        type=values.count,
        metavar="N",
        help="longest text in tokens (default: the model's own, at most 4096)",
    )
    parser.add_argument("--threads", type=values.count, metavar="N", help="CPU threads (default: one a core)")
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=usual.drain_seconds,
        metavar="S",
        help="how long calls under way may still take after SIGTERM or Ctrl-C (default: %(default)g)",
    )
    parser.add_argument(
        "--pass-seconds",
        type=float,
        default=usual.pass_seconds,
        metavar="S",
        help="how long a forward pass may take: one that takes longer hangs, and the process ends with status "
        f"{HANGS}, to be started again; the first passes may take a while (default: %(default)g)",
    )
    parser.add_argument(
        "--session-idle",
        type=float,
        default=usual.session_idle,
        metavar="S",
        help="seconds for which a text that nobody asks about keeps its keys and values; inf keeps them until others "
        "need the room (default: %(default)g)",
    )
    _add_connections(parser, usual.connections)
    access.add_options(parser)
    bundles.add_options(parser)
    telemetry.add_options(parser)


def _add_connections(parser: argparse.ArgumentParser, usual: ConnectionSettings) -> None:
    group = parser.add_argument_group("what a connection may cost (docs/operations.md)")
    group.add_argument(
        "--connections",
        type=values.count,
        metavar="N",
        help=f"most at once; others are closed as they come (default: {CONNECTIONS}, or as file descriptors allow)",
    )
    group.add_argument(
        "--connection-streams",
        type=values.count,
        default=usual.streams,
        metavar="N",
        help="most calls of one connection at once (default: %(default)s)",
    )
    group.add_argument(
        "--connection-idle",
        type=float,
        default=usual.idle,
        metavar="S",
        help="seconds without a call after which one is closed (default: %(default)g)",
    )
    group.add_argument(
        "--connection-age",
        type=float,
        default=usual.age,
        metavar="S",
        help="seconds after which one takes no new calls; edges go on with the next one (default: %(default)g)",
    )
    group.add_argument(
        "--connection-grace",
        type=float,
        default=usual.grace,
        metavar="S",
        help="seconds that its calls may still take then (default: %(default)g)",
    )
    group.add_argument(
        "--connection-silence",
        type=float,
        default=usual.silence,
        metavar="S",
        help="seconds for which nothing is heard of a stranger's that is sent away, before it is closed; 0 behind a "
        "proxy, whose connections are everybody's (default: %(default)g)",
    )
    group.add_argument(
        "--request-size",
        type=values.size,
        metavar="SIZE",
        help="largest message that is taken in, such as 1MiB (default: what a text as long as the context can need)",
    )


def read_settings(arguments: argparse.Namespace) -> ServeSettings:
    """What the command line says of a server.

    Raises:
        InputError: a value that makes no sense.
    """
    engine = EngineSettings(
        arguments.target,
        arguments.device,
        arguments.dtype,
        arguments.kv_memory,
        arguments.context,
        arguments.threads,
        arguments.engine,
        tuple(getattr(arguments, "vllm_options", ())),
        tuple((name, path) for name, _, path in (word.partition("=") for word in arguments.lora)),
    )
    if engine.adapters and engine.engine != VLLM:
        raise InputError(
            f"--engine {engine.engine} reads no adapters; add --engine {VLLM}, or merge the adapter into the model, "
            "with peft's merge_and_unload, and serve that",
            options=("lora",),
        )
    if engine.vllm_options and engine.engine != VLLM:
        raise InputError(f"what stands behind -- is for vLLM ({' '.join(engine.vllm_options)}); add --engine {VLLM}")
    return ServeSettings(
        engine,
        arguments.host,
        arguments.port,
        not arguments.no_prefix_caching,
        arguments.drain_seconds,
        arguments.pass_seconds,
        arguments.session_idle,
        ConnectionSettings(
            arguments.connections,
            arguments.connection_streams,
            arguments.connection_idle,
            arguments.connection_age,
            arguments.connection_grace,
            arguments.connection_silence,
            arguments.request_size,
        ),
        access.read_settings(arguments),
        telemetry.read_settings(arguments),
        bundles.read_settings(arguments),
    )
