"""Where the local server listens, whom it lets in, and how much it takes on at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from shared.addresses import is_loopback
from shared.errors import InputError

_KEY = re.compile(r"[\x21-\x7e]{8,}")
_ORIGIN = re.compile(r"\*|https?://[^\s/]+")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What an operator of the local server decides.

    Attributes:
        host, port: where it listens; port 0 is any that is free.
        key: what clients have to show, as a bearer token; None lets everybody in who reaches the port.
        https_cert, https_key: the server's certificate and its key, PEM; None for plain HTTP.
        origins: web pages of these origins may use it from a browser; "*" is any.
        texts: written at once, at most.
        waiting: texts that wait for one of those to end, at most; more are refused.
        largest_request: bytes of a request's body.

    Raises:
        InputError: a host beyond loopback without a key and encryption, or a value out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    key: str | None = field(default=None, repr=False)
    https_cert: Path | None = None
    https_key: Path | None = None
    origins: tuple[str, ...] = ()
    texts: int = 8
    waiting: int = 64
    largest_request: int = 4 << 20

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"port must be between 0 and 65535, not {self.port}", options=("port",))
        for name in ("texts", "largest_request"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, not {getattr(self, name)}", options=(name,))
        if self.waiting < 0:
            raise InputError(f"waiting must be 0 or more, not {self.waiting}", options=("waiting",))
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise InputError(
                "the key must have 8 characters or more, all of them visible ASCII without spaces; "
                "`openssl rand -hex 16` makes one",
                options=("api_key_file",),
            )
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise InputError(
                    f"{origin!r} is no origin of web pages; give one like https://chat.example, or *",
                    options=("allow_origin",),
                )
        if (self.https_cert is None) != (self.https_key is None):
            raise InputError(
                "a certificate and its key go together; give both or neither", options=("https_cert", "https_key")
            )
        if not is_loopback(self.host) and (self.key is None or self.https_cert is None):
            raise InputError(
                f"{self.host} can be reached from other machines: serving there takes a key, which clients have to "
                "show, and a certificate, so that nobody else reads it; or listen on 127.0.0.1",
                options=("api_key_file", "https_cert", "https_key"),
            )

    @property
    def scheme(self) -> str:
        return "https" if self.https_cert else "http"
