"""The server's certificates: read, checked, and read again when the files change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from cloud_target.access.followed import Followed
from cloud_target.access.regular import read_regular
from shared.errors import InputError

_REPLACED = "the certificates are being replaced at this moment; try again"


@dataclass(frozen=True)
class TlsFiles:
    """Where they are, PEM each.

    Attributes:
        cert: the server's certificate, then those between it and its authority.
        key: of the first certificate, without a pass phrase.
        client_ca: authorities whose clients alone may connect; None lets everybody connect.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def read(self) -> tuple[bytes, bytes, bytes | None]:
        """The bytes of the three files, which belong together.

        Raises:
            InputError: one is missing or no PEM, or the key is not the certificate's.
        """
        before = self._bytes()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # A key with a pass phrase fails here too, instead of asking a terminal that may not be there.
            context.load_cert_chain(self.cert, self.key, password=lambda: "")
        except (ssl.SSLError, ValueError):
            raise InputError(
                f"{self.cert} and {self.key} cannot be used as a certificate and its key; both must be PEM and "
                "belong together, and the key must have no pass phrase"
            ) from None
        except OSError:  # it could be read a moment ago
            raise InputError(_REPLACED) from None
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError:
                raise InputError(f"{self.client_ca} holds no certificates; give authorities as PEM") from None
            except OSError:
                raise InputError(_REPLACED) from None
        if self._bytes() != before:
            raise InputError(_REPLACED)
        return before

    def _bytes(self) -> tuple[bytes, bytes, bytes | None]:
        try:
            client_ca = read_regular(self.client_ca) if self.client_ca else None
            return read_regular(self.cert), read_regular(self.key), client_ca
        except OSError as error:
            raise InputError(f"cannot read {error.filename}: {(error.strerror or 'no such file').lower()}") from None


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that follow the files: a connection made after a change meets the new certificates.

    Files that do not belong together are ignored until they do, and the log says so.

    Raises:
        InputError: as `TlsFiles.read`.
    """
    followed = Followed(
        "the certificates",
        filter(None, (files.cert, files.key, files.client_ca)),
        lambda: _configuration(files),
    )

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # Called by gRPC at every handshake, from threads of its own; None keeps what there is.
        return followed.value if followed.follow() else None

    return grpc.dynamic_ssl_server_credentials(
        followed.value,
        changed,  # type: ignore[arg-type]  # None is documented, and missing from the types
        require_client_authentication=bool(files.client_ca),
    )


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    cert, key, client_ca = files.read()
    return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=client_ca)
