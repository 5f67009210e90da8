"""The guards of tests/conftest.py hold."""

from __future__ import annotations

import os
import random
import socket

import numpy as np
import pytest


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80))]
)
def test_nothing_leaves_this_machine(method: str, family: socket.AddressFamily, address: tuple[str, int]) -> None:
    with socket.socket(family) as client, pytest.raises(Exception, match="tests stay on loopback"):
        getattr(client, method)(address)


def test_names_do_not_leave_this_machine() -> None:
    with socket.socket() as client, pytest.raises(Exception, match="tests stay on loopback"):
        client.connect(("example.org", 80))


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        connection, _ = server.accept()
        connection.close()


@pytest.mark.parametrize("_", range(2))
def test_each_test_starts_from_the_same_random_state(_: int) -> None:
    assert (random.randrange(10**9), np.random.randint(10**9)) == (906691059, 209652396)


def test_no_model_is_downloaded() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
