"""Asks a target's standard gRPC health service; exits 0 if it serves. Health needs no token.

python healthcheck.py 127.0.0.1:50051
python healthcheck.py 127.0.0.1:50051 --ca ca.pem --server-name gpu.example
python healthcheck.py 127.0.0.1:50051 --ca ca.pem --service tandem.liveness

Without --service it asks whether new calls are welcome; tandem.liveness asks no more than whether the process answers.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 3.0


def main(arguments: Sequence[str]) -> int:
    """0 if the server answers SERVING, 1 otherwise, 2 for arguments that cannot be used; one line says which."""
    options = _parse(arguments)
    if (options.client_cert is None) != (options.client_key is None):
        print("a client certificate needs both --client-cert and --client-key", file=sys.stderr)
        return 2
    try:
        channel = _connect(options)
    except OSError as error:
        print(f"cannot read {error.filename} ({error.strerror}); give a file that this user may read", file=sys.stderr)
        return 2
    with channel:
        try:
            question = health_pb2.HealthCheckRequest(service=options.service)
            reply = health_pb2_grpc.HealthStub(channel).Check(question, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            print(
                f"{options.address} does not answer ({error.code().name}); see whether it runs and speaks TLS",
                file=sys.stderr,
            )
            return 1
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))
    return int(reply.status != health_pb2.HealthCheckResponse.SERVING)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ask a target's health service; exit status 0: it serves.")
    parser.add_argument("address", metavar="HOST:PORT", help="where the target listens")
    parser.add_argument(
        "--tls",
        action="store_true",
        default=os.environ.get("TANDEM_TLS", "") not in ("", "0"),
        help="encrypt (environment: TANDEM_TLS=1)",
    )
    for option, text in (
        ("--ca", "the authority of the target's certificate, PEM; implies --tls"),
        ("--client-cert", "the caller's own certificate, PEM, for a target that wants one"),
        ("--client-key", "the key of that certificate, PEM"),
    ):
        name = f"TANDEM_{option.strip('-').replace('-', '_').upper()}"
        default = os.environ.get(name)
        parser.add_argument(
            option,
            type=Path,
            default=Path(default) if default else None,
            metavar="FILE",
            help=f"{text} (environment: {name})",
        )
    parser.add_argument(
        "--server-name", metavar="NAME", help="the name in its certificate, where that is not the host of the address"
    )
    parser.add_argument("--service", default="", metavar="NAME", help="what is asked about (default: the whole target)")
    return parser.parse_args(arguments)


def _connect(options: argparse.Namespace) -> grpc.Channel:
    # A proxy from the container's environment has no business between a container and itself.
    settings: list[tuple[str, int | str]] = [("grpc.enable_http_proxy", 0)]
    if not (options.tls or options.ca or options.client_cert):
        return grpc.insecure_channel(options.address, options=settings)
    if options.server_name:
        settings.append(("grpc.ssl_target_name_override", options.server_name))
    files = (path and path.read_bytes() for path in (options.ca, options.client_key, options.client_cert))
    return grpc.secure_channel(options.address, grpc.ssl_channel_credentials(*files), options=settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
