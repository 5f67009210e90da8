"""Network addresses: what they look like, and which are this machine's own."""

from __future__ import annotations

import ipaddress
import re

from shared.errors import InputError

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[^\s\[\]/]+)?\]|[^\s:/\[\]]+):(\d{1,5})")


def parse_address(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port of "host:port".

    Raises:
        InputError: it is not an address.
    """
    match = _ADDRESS.fullmatch(address)
    if not match or not 0 < int(match[2]) < 1 << 16:
        sentence = f"{address!r} is not an address; give the target as host:port, like 127.0.0.1:50051"
        raise InputError(sentence, options=("target",))
    return bare_host(match[1]), int(match[2])


def bare_host(text: str) -> str:
    """A host without the brackets that addresses have around some."""
    return text.removeprefix("[").removesuffix("]")


def is_loopback(host: str) -> bool:
    """Whether a host, without brackets, is this machine under its usual name or a loopback address."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
