"""The configuration: ports, certificates, tokens, and who may read the files."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cloud_target.server.settings import ServeSettings
from shared.findings import Finding, fail, ok, warn
from shared.sizes import show_size

# A certificate with less time left than this should be on somebody's list.
SOON = timedelta(days=21)
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python has no name for: a certificate that is over can be read too.
_NO_CHECK_TIME = 0x200000


def address(settings: ServeSettings) -> Iterator[Finding]:
    """The addresses can be listened on, and what must be protected is."""
    from cloud_target.access.protection import check_address, read_access
    from cloud_target.telemetry import exporting as offered

    access, seen = read_access(settings.access), settings.telemetry
    check_address(settings.host, settings.port, access)
    offered.check(seen)
    metrics = "" if seen.metrics_port is None else f", and {seen.metrics_host}:{seen.metrics_port} for metrics"
    yield ok("address", f"{settings.host}:{settings.port} can be listened on{metrics}")
    if access.insecure_bind and not (access.tls and access.tokens):
        yield warn("address", "--insecure-bind leaves out TLS or tokens: only for a network where everybody is trusted")


def certificates(cert: Path, key: Path, client_ca: Path | None) -> Iterator[Finding]:
    """Certificate and key belong together, are valid now, and the key is nobody else's business."""
    from cloud_target.access.tls import TlsFiles

    TlsFiles(cert, key, client_ca).read()
    yield dates("certificate", read_certificate(cert, key))
    yield from private("key", key)


def read_certificate(cert: Path, key: Path) -> dict[str, Any]:
    """What `ssl.SSLSocket.getpeercert` says of a certificate: a handshake in memory shows it to us.

    Raises:
        ssl.SSLError: the two do not belong together.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key, password=lambda: "")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cert)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return dict(ends[0].getpeercert() or {})


def dates(name: str, certificate: dict[str, Any]) -> Finding:
    """Whether a certificate is valid now, and for how long."""
    begin, end = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate[key]), UTC) for key in ("notBefore", "notAfter")
    )
    hosts = ", ".join(value for _, value in certificate.get("subjectAltName", ())) or "no host at all"
    now, about = datetime.now(UTC), f"for {hosts}, valid until {end:%Y-%m-%d}"
    if now > end:
        return fail(name, f"it expired on {end:%Y-%m-%d}; get a new one, a running server takes it up by itself")
    if now < begin:
        return fail(name, f"it is valid only from {begin:%Y-%m-%d %H:%M} UTC on; check this machine's clock")
    if end - now < SOON:
        return warn(name, f"{about}: renew it soon, a running server takes it up by itself")
    return ok(name, about)


def bundle(directory: Path, target: str) -> Iterator[Finding]:
    """The bundle that edges may fetch is whole, and was made for the target."""
    from cloud_target.bundles.offered import OfferedBundle
    from cloud_target.engine.files import POCKET, find_directory, target_fingerprint

    offered = OfferedBundle(directory)
    offered.close()
    contents, made_for = offered.contents, offered.manifest.target_fingerprint
    about = f"{contents.name} ({contents.digest[:12]}) in {directory}, {show_size(contents.size)}"
    if target != POCKET and not Path(target).is_dir():
        yield ok("bundle", f"{about}; whether it was made for {target} shows when that is loaded")
    elif made_for == target_fingerprint(find_directory(target)):
        yield ok("bundle", f"{about}, made for this target")
    else:
        yield fail("bundle", f"{about}, was made for another target; make it again with `cloud-target prepare`")


def tokens(path: Path) -> Iterator[Finding]:
    """The file of tokens makes sense, and nobody can add lines to it."""
    from cloud_target.access.expiry import AHEAD
    from cloud_target.access.tokens import parse_tokens

    grants = list(parse_tokens(path.read_text(), path).values())
    count, soon = len(grants), datetime.now(UTC) + AHEAD
    ending = sorted({grant.tenant for grant in grants if grant.expires is not None and grant.expires < soon})
    if not count:
        yield warn("tokens", f"{path} holds none, so nobody may call; make one with `cloud-target token new TENANT`")
    elif ending:
        yield warn("tokens", f"those of {', '.join(ending)} in {path} are over, or within two weeks; make new ones")
    else:
        yield ok("tokens", f"{count} in {path}")
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        yield fail(
            "tokens", f"anybody on this machine can write {path}, and so add a token for themselves; chmod 600 it"
        )


def private(name: str, path: Path) -> Iterator[Finding]:
    """Only its owner, and perhaps a group, can read the file."""
    mode = path.stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        yield warn(name, f"{path} has mode {stat.S_IMODE(mode):o}, so other users can read or change it; chmod 600 it")
    else:
        yield ok(name, f"{path} belongs to the certificate, and has mode {stat.S_IMODE(mode):o}")
