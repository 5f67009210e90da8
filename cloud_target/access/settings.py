"""What protects a server, as its operator asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AccessSettings:
    """By default nothing protects it, so it stays on loopback.

    Attributes:
        tls_cert: the server's certificate chain, PEM; None for plain text.
        tls_key: its key.
        client_ca: authorities whose clients alone may connect; None lets everybody connect.
        tokens: the file of those who may call; None lets everybody call.
        limits: of each tenant to which `tokens` gives no others, in the words of `Quota.override`.
        insecure_bind: listen beyond loopback although TLS or tokens are missing.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    tokens: Path | None = None
    limits: str = ""
    insecure_bind: bool = False
