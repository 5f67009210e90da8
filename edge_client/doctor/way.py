"""The way to a target, step by step: its name, a connection, and its certificate."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from edge_client.doctor.deadline import Deadline
from edge_client.target.credentials import Credentials
from edge_client.target.diagnosis import tls_context, why_not
from shared.addresses import is_loopback
from shared.errors import TargetUnavailable
from shared.findings import Check, Finding, ok, warn

# Seconds for each step.
_NAME, _CONNECT, _TLS = 3.0, 3.0, 4.0
# A certificate with less time left than this should be on somebody's list.
_SOON = timedelta(days=21)


class Way:
    """The checks of the way to one target.

    Args:
        host, port: of it; the host without brackets.
        credentials: how it is reached.
        deadline: for all of its checks.

    Attributes:
        is_lost: a later check cannot succeed.
    """

    def __init__(self, host: str, port: int, credentials: Credentials, deadline: Deadline) -> None:
        self._host, self._port, self._credentials, self._deadline = host, port, credentials, deadline
        self.is_lost = False

    def checks(self) -> list[Check]:
        """In the order in which they make sense."""
        if proxy := proxy_for(self._host):
            return [("proxy", lambda: _proxied(proxy))]
        return [("name", self._name), ("reach", self._reach), ("tls", self._tls)]

    def _name(self) -> Iterator[Finding]:
        begin = perf_counter()
        try:
            found = self._deadline.within(
                _NAME, lambda _: socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            )
        except TimeoutError:
            raise self._lost(f"nobody says where {self._host} is; check this device's network and its DNS") from None
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise self._lost(
                f"no host of the name {self._host} is known ({why}); check the address, and this device's DNS", "target"
            ) from None
        seconds, addresses = perf_counter() - begin, list(dict.fromkeys(str(one[4][0]) for one in found))
        if addresses != [self._host]:
            shown = f"{self._host} is {', '.join(addresses[:3])}{' and more' * (len(addresses) > 3)}"
            yield ok("name", f"{shown} ({1e3 * seconds:.1f} ms)", seconds=seconds, addresses=addresses)

    def _reach(self) -> Iterator[Finding]:
        if self.is_lost:
            return
        begin = perf_counter()
        try:
            self._deadline.within(_CONNECT, lambda seconds: self._socket(seconds).close())
        except OSError as error:
            why = "timed out" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
            raise self._lost(
                f"no connection to {self._host}:{self._port} ({why}); check the address, the firewall, and that "
                "`cloud-target serve` runs there with that port",
                "target",
            ) from None
        seconds = perf_counter() - begin
        yield ok("reach", f"{self._host}:{self._port} answers in {1e3 * seconds:.1f} ms", seconds=seconds)

    def _tls(self) -> Iterator[Finding]:
        if self.is_lost:
            return
        if not self._credentials.tls:
            if is_loopback(self._host):
                yield ok("tls", "not asked for, and the target is on this device", encrypted=False)
            else:
                yield warn(
                    "tls",
                    "the link is not encrypted: whoever is between can read and change it; turn encryption on",
                    encrypted=False,
                )
            return
        try:
            certificate = self._deadline.within(_TLS, self._handshake)
        except TimeoutError:
            raise self._lost(
                "the connection is taken, and then nothing is said; see that a target with encryption listens there",
                "target",
            ) from None
        except (OSError, ValueError) as error:
            raise self._trouble(error) from None
        yield dates(certificate, datetime.now(UTC))

    def _socket(self, seconds: float) -> socket.socket:
        return socket.create_connection((self._host, self._port), seconds)

    def _handshake(self, seconds: float, checks_name: bool = True) -> dict[str, Any]:
        """The certificate, which is accepted; but for its name, where that is not checked."""
        context = tls_context(self._credentials)
        context.check_hostname = checks_name
        with self._socket(seconds) as plain, context.wrap_socket(plain, server_hostname=self._host) as secure:
            return dict(secure.getpeercert() or {})

    def _trouble(self, error: Exception) -> TargetUnavailable:
        """What is wrong, by the usual mistakes; where it is the name alone, also which names there are."""
        try:
            why = self._deadline.within(_TLS, lambda _: why_not(self._host, self._port, self._credentials))
        except TimeoutError:
            why = None
        sentence, options = str(why or f"no encrypted connection ({error})"), why.options if why else ()
        try:
            names = names_in(self._deadline.within(_TLS, lambda seconds: self._handshake(seconds, False)))
        except (OSError, ValueError):
            return self._lost(sentence, *options)
        return self._lost(f"{sentence}; it is for {names}", *options)

    def _lost(self, sentence: str, *options: str) -> TargetUnavailable:
        self.is_lost = True
        return TargetUnavailable(sentence, options=options)


def dates(certificate: dict[str, Any], now: datetime) -> Finding:
    """Of an accepted certificate: for whom it is, and for how long."""
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    about = f"the certificate is for {names_in(certificate)}, valid until {end:%Y-%m-%d}"
    values = {"encrypted": True, "names": names_in(certificate), "until": end.isoformat(), "now": now.isoformat()}
    if end - now < _SOON:
        return warn("tls", f"{about}: its operator must renew it soon", **values)
    return ok("tls", f"{about}; this device's clock ({now:%Y-%m-%d %H:%M} UTC) is within its dates", **values)


def names_in(certificate: dict[str, Any]) -> str:
    """The hosts that a certificate is for."""
    return ", ".join(value for _, value in certificate.get("subjectAltName", ())) or "no host at all"


def proxy_for(host: str) -> str | None:
    """The proxy of the environment over which gRPC goes to a host."""
    if is_loopback(host):
        return None
    found = next((value for name in ("grpc", "https", "http") if (value := os.environ.get(f"{name}_proxy"))), None)
    without = next((value for name in ("no_grpc", "no") if (value := os.environ.get(f"{name}_proxy"))), "")
    is_left_out = any(host.endswith(ending.strip()) for ending in without.split(",") if ending.strip())
    return None if is_left_out else found


def _proxied(proxy: str) -> Iterator[Finding]:
    shown = proxy.rpartition("@")[2]  # whoever it is for may read the rest in the environment
    yield warn(
        "proxy",
        f"the way goes through the proxy {shown} of the environment, so name, connection and certificate are not "
        "looked at by themselves; set no_proxy where the target can be reached without",
        proxy=shown,
    )
