"""From where a target may be reached, and what protects it there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from cloud_target.access.quotas import Quota
from cloud_target.access.tls import TlsFiles
from cloud_target.access.tokens import TokenFile
from shared.addresses import is_loopback
from shared.errors import InputError


@dataclass(frozen=True)
class Access:
    """What protects a server; by default nothing does, so it stays on loopback.

    Attributes:
        tls: its certificates; None for plain text.
        tokens: who may call; None lets everybody.
        quota: what a tenant may have of which the tokens do not say otherwise.
        insecure_bind: listen beyond loopback although TLS or tokens are missing.
    """

    tls: TlsFiles | None = None
    tokens: TokenFile | None = None
    quota: Quota = field(default_factory=Quota)
    insecure_bind: bool = False


def check_address(host: str, port: int, access: Access | None = None) -> None:
    """Refuse addresses that cannot or must not be listened on; worth asking before a large model is loaded.

    Args:
        host: without brackets.

    Raises:
        InputError: the host is not this machine's loopback and something of the protection is missing, or the port is
            taken.
    """
    access = access or Access()
    missing = [
        *(() if access.tls else ("encryption (--tls-cert and --tls-key)",)),
        *(() if access.tokens else ("tokens (--tokens)",)),
    ]
    if missing and not access.insecure_bind and not is_loopback(host):
        raise InputError(
            f"refusing to listen on {host} without {' and '.join(missing)}: whoever reaches that address could read "
            "or ask; add them, or use --host 127.0.0.1, or --insecure-bind inside a network that you trust"
        )
    try:
        try_to_listen(host, port)
    except OSError as error:
        # Name lookups fail with negative numbers and say what happened themselves.
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else error.strerror
        raise InputError(
            f"cannot listen on {host}, port {port}: {why}; choose another --port (0 for any), or --host"
        ) from None


def try_to_listen(host: str, port: int) -> None:
    """See whether an address can be listened on now.

    Raises:
        OSError: it cannot, or the host is none.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    socket.create_server((host, port), family=family).close()
