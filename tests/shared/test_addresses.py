"""Addresses of targets, as people type them."""

from __future__ import annotations

import pytest

from shared.addresses import is_loopback, parse_address
from shared.errors import InputError


@pytest.mark.parametrize(
    ("address", "host", "port", "is_own"),
    [
        ("localhost:1", "localhost", 1, True),
        ("127.0.0.1:50051", "127.0.0.1", 50051, True),
        ("127.8.8.8:65535", "127.8.8.8", 65535, True),
        ("[::1]:443", "::1", 443, True),
        ("LOCALHOST:443", "LOCALHOST", 443, True),
        ("[fe80::1%eth0]:443", "fe80::1%eth0", 443, False),
        ("10.0.0.1:443", "10.0.0.1", 443, False),
        ("localhost.example:443", "localhost.example", 443, False),
        ("[2001:db8::1]:443", "2001:db8::1", 443, False),
    ],
)
def test_address(address, host, port, is_own):
    assert parse_address(address) == (host, port)
    assert is_loopback(host) is is_own


@pytest.mark.parametrize("address", ["", "host", "host:", ":443", "host:0", "host:65536", "::1:443", "http://host:443"])
def test_what_is_no_address(address):
    with pytest.raises(InputError, match="is not an address; give the target as host:port"):
        parse_address(address)
