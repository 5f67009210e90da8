"""How a device proves who it is to a target, and how it knows that the target is the right one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from shared import values
from shared.addresses import is_loopback
from shared.errors import InputError

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Credentials:
    """What a connection is protected with; by default nothing.

    Attributes:
        tls: encrypt, and check that the target's certificate is valid for its host name; any file below implies it.
        ca: authorities that may have signed the target's certificate, PEM; None for the well-known ones.
        client_cert, client_key: this device's own certificate and key, PEM; both or neither.
        token: what the target's operator gave out.

    Raises:
        InputError: a client certificate without its key, or a key without one; a token with signs that none has; what
            is no path, text or switch where one is due.
    """

    tls: bool = False
    ca: str | Path | None = None
    client_cert: str | Path | None = None
    client_key: str | Path | None = None
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        values.switch("tls", self.tls)
        for name in ("ca", "client_cert", "client_key"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, values.path(name, getattr(self, name)))
        if self.token is not None:
            values.string("token", self.token)
        if (self.client_cert is None) != (self.client_key is None):
            raise InputError(
                "a client certificate and its key go together; give both or neither",
                options=("client_cert", "client_key"),
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise InputError(
                "the token is empty, or holds spaces or characters that are not ASCII; keep it on one line, exactly as "
                "given",
                options=("token_file",),
            )
        if self.ca is not None or self.client_cert is not None:
            object.__setattr__(self, "tls", True)

    def check(self, host: str) -> None:
        """See that nothing secret travels in the clear.

        Raises:
            InputError: a token, no encryption, and a host beyond loopback.
        """
        if self.token is not None and not self.tls and not is_loopback(host):
            raise InputError(
                f"the token would travel to {host} where others can read it; turn encryption on, or name the authority "
                "of the target's certificate",
                options=("tls", "ca"),
            )

    def files(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The bytes of the authorities, the client's key and its certificate, None where there is no such file.

        Raises:
            InputError: one cannot be read, or `ca` holds no certificate.
        """
        files = _read(self.ca, "ca"), _read(self.client_key, "client_key"), _read(self.client_cert, "client_cert")
        if self.ca is None:
            return files
        import ssl  # a device that writes alone never needs it

        try:
            authorities = (files[0] or b"").decode("ascii", "ignore")  # beside certificates stand names in any language
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities)
        except (ssl.SSLError, ValueError):
            raise InputError(
                f"{self.ca} holds no certificate in PEM; give the authority of the target's certificate",
                options=("ca",),
            ) from None
        return files


def read_token(path: Path, option: str = "token_file") -> str:
    """The token in a file.

    Args:
        option: that names the file.

    Raises:
        InputError: it cannot be read.
    """
    return (_read(path, option) or b"").decode("utf-8-sig", errors="replace").strip()


def _read(path: str | Path | None, option: str) -> bytes | None:
    if path is None:
        return None
    try:
        return values.path(option, path).read_bytes()
    except OSError as error:
        why = (error.strerror or "it failed").lower()
        raise InputError(f"cannot read {path}: {why}; give a file that this user may read", options=(option,)) from None
