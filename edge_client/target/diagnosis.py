"""Why there is no connection: the usual mistakes with TLS, each as one error.

gRPC tells of a failed connection in its own words, which change from version to version. So where it fails, one
connection more is made by Python's own TLS, whose errors are numbers.
"""

from __future__ import annotations

import socket
import ssl

from edge_client.target.credentials import Credentials
from shared.errors import TargetUnavailable

TIMEOUT = 2.0
# OpenSSL's codes of what is wrong with a certificate.
_EXPIRED = (10,)
_NOT_YET = (9,)
_OTHER_HOST = (62, 64)
# An HTTP/2 client's first words, which a server answers with its own: preface and empty settings.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def why_not(host: str, port: int, credentials: Credentials) -> TargetUnavailable | None:
    """What is wrong between this device's TLS settings and the target's, None if that is not it.

    Args:
        host: without brackets.
    """
    try:
        with socket.create_connection((host, port), TIMEOUT) as plain:
            return _try_tls(plain, host, port, credentials) if credentials.tls else _try_plain(plain, host, port)
    except (OSError, ValueError):
        return None


def _try_plain(plain: socket.socket, host: str, port: int) -> TargetUnavailable | None:
    """This device speaks plain text; does the target speak TLS?"""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_socket(plain).close()
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            return None
    return TargetUnavailable(
        f"the target at {host}:{port} speaks TLS only; turn encryption on, or name the authority of its certificate",
        options=("tls", "ca"),
    )


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """As gRPC sees to a connection with these credentials.

    Raises:
        OSError: a file cannot be used.
    """
    context = ssl.create_default_context(cafile=credentials.ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # gRPC, whose answer counts, is not as strict
    context.set_alpn_protocols(["h2"])
    if credentials.client_cert is not None:
        context.load_cert_chain(credentials.client_cert, credentials.client_key, password=lambda: "")
    return context


def _try_tls(plain: socket.socket, host: str, port: int, credentials: Credentials) -> TargetUnavailable | None:
    where = f"the target at {host}:{port}"
    context = tls_context(credentials)
    try:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            secure.sendall(_HELLO)
            if secure.recv(1):
                return None
    except ssl.SSLCertVerificationError as error:
        return _certificate(where, error, host)
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            return TargetUnavailable(
                f"{where} does not speak TLS; leave encryption out, if nobody can listen in between",
                options=("tls", "ca"),
            )
    except ConnectionError:
        pass
    # TLS 1.3 servers look at the client's certificate last, and some just hang up; so does one that is just stopping.
    if credentials.client_cert is None:
        likely = "it wants a client certificate: give one, with its key"
    else:
        likely = "it does not take this client certificate: ask its operator for another"
    sentence = f"{where} ended the connection; most likely {likely}"
    return TargetUnavailable(sentence, options=("client_cert", "client_key"))


def _certificate(where: str, error: ssl.SSLCertVerificationError, host: str) -> TargetUnavailable:
    if error.verify_code in _EXPIRED:
        return TargetUnavailable(
            f"{where} has a certificate that has expired; its operator must renew it, or this device's clock is wrong"
        )
    if error.verify_code in _NOT_YET:
        return TargetUnavailable(
            f"{where} has a certificate that is not valid yet; see whether this device's clock is right"
        )
    if error.verify_code in _OTHER_HOST:
        return TargetUnavailable(
            f"{where} has a certificate for another name than {host}; use the name in it as the target's address",
            options=("target",),
        )
    return TargetUnavailable(
        f"{where} has a certificate of an authority that this device does not know; name that authority",
        options=("ca",),
    )
