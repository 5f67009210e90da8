"""The relay passes on every byte, in order and later."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.network.ping import Echo, round_trips
from benchmarks.network.profiles import PROFILES, Profile
from benchmarks.network.relay import Relay
from shared.errors import InputError

SLOW = Profile("slow", 0.04, "a link of the test")


def connect(relay: Relay) -> socket.socket:
    host, _, port = relay.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def has_ended(client: socket.socket) -> bool:
    """Whether the other end closes the connection, or breaks it, and sends nothing before."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_no_answer_comes_sooner_than_the_link_lets_it() -> None:
    with Echo("127.0.0.1") as echo, Relay(SLOW, f"127.0.0.1:{echo.port}") as relay:
        host, _, port = relay.address.rpartition(":")
        assert min(round_trips(host, int(port), 5)) >= 0.04


def test_every_byte_arrives_in_order_on_the_worst_link() -> None:
    worst = Profile("worst", 0.001, "a bad day", jitter=0.001, loss=0.002, stall_every=0.05, stall_for=0.005)
    data = random.Random(1).randbytes(2_000_000)
    with Echo("127.0.0.1") as echo, Relay(worst, f"127.0.0.1:{echo.port}") as relay, connect(relay) as client:
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        received = bytearray()
        while piece := client.recv(65536):
            received += piece
        sender.join()
    assert received == data


@given(st.lists(st.tuples(st.integers(1, 40_000), st.integers(0, 3)), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_it_counts_every_byte_each_way_of_all_connections(messages) -> None:
    with Echo("127.0.0.1") as echo, Relay(PROFILES["none"], f"127.0.0.1:{echo.port}") as relay, ExitStack() as stack:
        clients = [stack.enter_context(connect(relay)) for _ in range(4)]
        assert relay.carried == (0, 0)
        for size, client in messages:
            clients[client].sendall(bytes(size))
            missing = size
            while missing:
                missing -= len(clients[client].recv(65536))
        total = sum(size for size, _ in messages)
        assert relay.carried == (total, total)


def test_a_rate_is_kept() -> None:
    narrow = Profile("narrow", 0.0, "a narrow link", up=8e6)  # a megabyte a second
    with Echo("127.0.0.1") as echo, Relay(narrow, f"127.0.0.1:{echo.port}") as relay, connect(relay) as client:
        begin = time.monotonic()
        client.sendall(bytes(200_000))
        missing = 200_000
        while missing:
            missing -= len(client.recv(65536))
    assert time.monotonic() - begin >= 0.19


def test_a_cut_ends_what_is_open_and_no_more() -> None:
    with Echo("127.0.0.1") as echo, Relay(PROFILES["none"], f"127.0.0.1:{echo.port}") as relay:
        with connect(relay) as client:
            client.sendall(b"a")
            assert client.recv(1) == b"a"
            relay.cut()
            assert has_ended(client)
        with connect(relay) as client:
            client.sendall(b"b")
            assert client.recv(1) == b"b"


def test_a_target_that_is_not_there_is_a_connection_that_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Relay(PROFILES["none"], f"127.0.0.1:{port}") as relay, connect(relay) as client:
        assert has_ended(client)


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{port} .*; give another port"):
            Relay(SLOW, "127.0.0.1:1", port)


def test_the_threads_go_with_it() -> None:
    before = threading.active_count()
    with Echo("127.0.0.1") as echo:
        relay = Relay(SLOW, f"127.0.0.1:{echo.port}")
        connect(relay).close()
        relay.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "relay"]
    assert threading.active_count() <= before + 1  # the echo's last answer may still be ending
