"""Strangers by the dozen, who send what one of them has made beforehand, and read nothing unless they are told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

PATIENCE = 20.0


def all_at_once(
    path: str, calls: int, data: bytes = b"", metadata: Iterable[tuple[str, str]] = (), window: int = 65_535, end=False
) -> bytes:
    """All that a connection needs to say for so many calls.

    Args:
        data: of each call; as much as the other side takes in before it has said anything.
        window: bytes that it allows each call to send it.
        end: whether nothing comes after the data.
    """
    http = H2Connection(H2Configuration(client_side=True))
    http.local_settings = Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
    http.initiate_connection()
    http.remote_settings = Settings(client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: calls})
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    headers += [("te", "trailers"), ("content-type", "application/grpc"), *metadata]
    said = []
    for number in range(calls):
        http.send_headers(2 * number + 1, headers)
        http.outbound_flow_control_window = 1 << 30
        for begin in range(0, len(data), 1 << 14):
            http.send_data(2 * number + 1, data[begin : begin + (1 << 14)])
        if end:
            http.end_stream(2 * number + 1)
        said.append(http.data_to_send())
    return b"".join(said)


class Flood:
    """So many connections, each of which says the same, and then stays; a context manager, at whose end they leave."""

    def __init__(self, address: str, connections: int, said: bytes, reads: bool = True) -> None:
        host, _, port = address.rpartition(":")
        self._sockets = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(connections)]
        threads = [threading.Thread(target=self._say, args=(one, said, reads)) for one in self._sockets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _say(self, one: socket.socket, said: bytes, reads: bool) -> None:
        with suppress(OSError):
            one.sendall(said)
            if reads:
                one.settimeout(0.2)
                while one.recv(1 << 16):
                    pass

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()
