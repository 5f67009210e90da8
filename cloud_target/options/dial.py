"""Connecting to a target that runs, as an edge does: for the commands that examine and load one."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.addresses import is_loopback, parse_address
from shared.errors import InputError
from shared.paths import typed_path
from shared.wire.metadata import AUTHORIZATION

if TYPE_CHECKING:  # command lines are read without it
    import grpc


@dataclass(frozen=True)
class DialSettings:
    """Where a target is, and what it wants to see.

    Attributes:
        address: "host:port".
        tls: it has a certificate of an authority that this system trusts.
        ca: it has a certificate of this authority, PEM.
        client_cert: it wants a certificate: this one, PEM.
        client_key: its key.
        token_file: it wants the token in this file.
    """

    address: str
    tls: bool = False
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    token_file: Path | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what it takes to reach a target; the names are those of edge-client."""
    group = parser.add_argument_group("a target that runs already")
    group.add_argument("--address", metavar="HOST:PORT", help="where it is")
    group.add_argument(
        "--tls", action="store_true", help="it has a certificate of an authority that this system trusts"
    )
    group.add_argument("--ca", type=typed_path, metavar="FILE", help="it has a certificate of this authority (PEM)")
    group.add_argument("--client-cert", type=typed_path, metavar="FILE", help="it wants a certificate: this one (PEM)")
    group.add_argument("--client-key", type=typed_path, metavar="FILE", help="its key")
    group.add_argument("--token-file", type=typed_path, metavar="FILE", help="it wants the token in this file")


def read_settings(arguments: argparse.Namespace) -> DialSettings | None:
    """What the command line says of a target that runs; None where it names none."""
    if arguments.address is None:
        return None
    return DialSettings(
        arguments.address,
        arguments.tls,
        arguments.ca,
        arguments.client_cert,
        arguments.client_key,
        arguments.token_file,
    )


class Line:
    """How to reach one target.

    Args:
        settings: where it is, and what it wants to see.

    Attributes:
        address: "host:port".
        host, port: its parts.
        is_local: it is on this machine.
        metadata: to send with every call.

    Raises:
        InputError: not an address, a file that cannot be read, or a token that would travel in the clear.
    """

    def __init__(self, settings: DialSettings) -> None:
        import grpc

        self.address = settings.address
        self.host, self.port = parse_address(self.address)
        # A proxy of the environment cannot reach a target on this machine.
        self._options = [("grpc.use_local_subchannel_pool", 1)]
        self.is_local = is_loopback(self.host)
        if self.is_local:
            self._options.append(("grpc.enable_http_proxy", 0))
        self._credentials = None
        if bool(settings.client_cert) != bool(settings.client_key):
            raise InputError("a client's certificate needs both --client-cert and --client-key")
        if settings.tls or settings.ca or settings.client_cert:
            files = (settings.ca, settings.client_key, settings.client_cert)
            ca, key, cert = (None if path is None else _read(path) for path in files)
            self._credentials = grpc.ssl_channel_credentials(ca, key, cert)
        self.metadata: tuple[tuple[str, str], ...] = ()
        if settings.token_file:
            if not (self.is_local or self.is_encrypted):
                raise InputError(f"the token would travel to {self.host} where others can read it; add --tls or --ca")
            token = _read(settings.token_file).decode(errors="replace").strip()
            self.metadata = ((AUTHORIZATION, f"Bearer {token}"),)

    @property
    def is_encrypted(self) -> bool:
        """Whether the link is TLS."""
        return self._credentials is not None

    def channel(self) -> grpc.Channel:
        """A new connection, for threads."""
        import grpc

        if self._credentials is None:
            return grpc.insecure_channel(self.address, options=self._options)
        return grpc.secure_channel(self.address, self._credentials, options=self._options)

    def aio_channel(self) -> grpc.aio.Channel:
        """A new connection, for an event loop."""
        import grpc

        if self._credentials is None:
            return grpc.aio.insecure_channel(self.address, options=self._options)
        return grpc.aio.secure_channel(self.address, self._credentials, options=self._options)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or 'failed').lower()}") from None
