"""Connections are counted as the system knows them."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from cloud_target.telemetry.sockets import TABLES, connections


@pytest.mark.skipif(not TABLES[0].exists(), reason="this system tells nobody of its sockets")
def test_open_connections_to_a_port_are_counted_and_nothing_else():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        port = server.getsockname()[1]
        assert connections(port) == 0  # one that listens is none
        with ExitStack() as opened:
            for count in (1, 2, 3):
                opened.enter_context(socket.create_connection(server.getsockname()))
                opened.enter_context(server.accept()[0])
                opened.enter_context(socket.create_connection(other.getsockname()))
                assert connections(port) == count
        assert connections(port) == 0


def test_both_kinds_of_addresses_count(tmp_path: Path):
    head = "  sl  local_address rem_address   st\n"
    (tmp_path / "tcp").write_text(f"{head}   0: 0100007F:C383 0100007F:9999 01\n   1: 0100007F:9999 0100007F:C383 01\n")
    (tmp_path / "tcp6").write_text(f"{head}   0: {'0' * 32}:C383 {'0' * 32}:0001 01\n   1: {'0' * 32}:C383 :0 0A\n")
    assert connections(0xC383, [tmp_path / "tcp", tmp_path / "tcp6"]) == 2
    assert connections(0xC383, [tmp_path / "tcp", tmp_path / "nothing"]) == 1


def test_where_nothing_tells_it_is_not_known(tmp_path: Path):
    assert connections(1, [tmp_path / "nothing"]) is None
