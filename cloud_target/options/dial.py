"""Connecting to a target that runs, as an edge does: for the commands that examine and load one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from shared.addresses import is_loopback, parse_address
from shared.errors import InputError
from shared.wire.metadata import AUTHORIZATION

if TYPE_CHECKING:  # command lines are read without it
    import grpc


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what it takes to reach a target; the names are those of edge-client."""
    group = parser.add_argument_group("a target that runs already")
    group.add_argument("--address", metavar="HOST:PORT", help="where it is")
    group.add_argument(
        "--tls", action="store_true", help="it has a certificate of an authority that this system trusts"
    )
    group.add_argument("--ca", type=Path, metavar="FILE", help="it has a certificate of this authority (PEM)")
    group.add_argument("--client-cert", type=Path, metavar="FILE", help="it wants a certificate: this one (PEM)")
    group.add_argument("--client-key", type=Path, metavar="FILE", help="its key")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="it wants the token in this file")


class Line:
    """How to reach one target.

    Args:
        options: as `add_options` reads them.

    Attributes:
        address: "host:port".
        host, port: its parts.
        is_local: it is on this machine.
        metadata: to send with every call.

    Raises:
        InputError: no address, a file that cannot be read, or a token that would travel in the clear.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        import grpc

        self.address = options.address
        self.host, self.port = parse_address(self.address)
        # A proxy of the environment cannot reach a target on this machine.
        self._options = [("grpc.use_local_subchannel_pool", 1)]
        self.is_local = is_loopback(self.host)
        if self.is_local:
            self._options.append(("grpc.enable_http_proxy", 0))
        self._credentials = None
        if bool(options.client_cert) != bool(options.client_key):
            raise InputError("a client's certificate needs both --client-cert and --client-key")
        if options.tls or options.ca or options.client_cert:
            ca, key, cert = (_read(path) for path in (options.ca, options.client_key, options.client_cert))
            self._credentials = grpc.ssl_channel_credentials(ca, key, cert)
        self.metadata: tuple[tuple[str, str], ...] = ()
        if options.token_file:
            if not (self.is_local or self.is_encrypted):
                raise InputError(f"the token would travel to {self.host} where others can read it; add --tls or --ca")
            token = _read(options.token_file).decode(errors="replace").strip()
            self.metadata = ((AUTHORIZATION, f"Bearer {token}"),)

    @property
    def is_encrypted(self) -> bool:
        """Whether the link is TLS."""
        return self._credentials is not None

    def channel(self) -> grpc.Channel:
        """A new connection, for threads."""
        import grpc

        return self._open(grpc.insecure_channel, grpc.secure_channel)

    def aio_channel(self) -> grpc.aio.Channel:
        """A new connection, for an event loop."""
        import grpc

        return self._open(grpc.aio.insecure_channel, grpc.aio.secure_channel)

    def _open(self, insecure: object, secure: object) -> object:
        if self._credentials is None:
            return insecure(self.address, options=self._options)
        return secure(self.address, self._credentials, options=self._options)


def _read(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or 'failed').lower()}") from None
