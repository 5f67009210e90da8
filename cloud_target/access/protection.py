"""What protects a server, read from its files, and from where it may be reached with that."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloud_target.access.quotas import Quota
from cloud_target.access.settings import AccessSettings
from cloud_target.access.tls import TlsFiles
from cloud_target.access.tokens import TokenFile
from cloud_target.options.listen import try_to_listen, why_not
from shared.addresses import is_loopback
from shared.configuration.told import about
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


def read_access(settings: AccessSettings) -> Access:
    """The protection that is asked for.

    Raises:
        InputError: files or limits that cannot be used, or half of a pair of options.
    """
    cert, key, client_ca = settings.tls_cert, settings.tls_key, settings.client_ca
    if not (cert and key) and (cert or key or client_ca):
        raise InputError("TLS needs both --tls-cert and --tls-key")
    tls = TlsFiles(cert, key, client_ca) if cert and key else None
    if tls is not None:
        with about("tls_cert", "tls_key", *(("client_ca",) if client_ca else ())):
            tls.read()
    with about("tokens"):
        tokens = TokenFile(settings.tokens) if settings.tokens else None
    with about("limits"):
        quota = Quota().override(settings.limits.replace(",", " ").split())
    return Access(tls, tokens, quota, settings.insecure_bind)


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
        raise InputError(
            f"cannot listen on {host}, port {port}: {why_not(error)}; choose another --port (0 for any), or --host"
        ) from None
