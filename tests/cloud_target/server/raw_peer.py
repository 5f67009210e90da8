"""A peer that speaks HTTP/2 by hand, and so can do what no gRPC library would: stop reading, or send half a message."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes, Settings

from shared.addresses import parse_address

PATIENCE = 20.0


def own_port() -> int:
    """A port that the system gives to nobody by itself, so that it stays free where its connection was closed."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as there, suppress(OSError):
            there.bind(("127.0.0.1", port))
            return port


class RawPeer:
    """One connection, a context manager; nothing of it is read but where it says so.

    Args:
        address: "host:port".
        window: bytes that it allows each stream to send it.
        port: of its own; 0 for any.

    Attributes:
        heard: what came, by stream.
        statuses: `grpc-status` of the streams that have ended.
        gone: the other side closed the connection.
        port: its own.
    """

    def __init__(self, address: str, window: int = 65_535, port: int = 0) -> None:
        host, there = parse_address(address)
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.settimeout(PATIENCE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if port:
                self._socket.bind(("127.0.0.1", port))
            self._socket.connect((host, there))
        except OSError:
            self._socket.close()
            raise
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._http.local_settings = Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._http.initiate_connection()
        self.heard: dict[int, bytes] = {}
        self.statuses: dict[int, str] = {}
        self.gone = False
        self.port: int = self._socket.getsockname()[1]
        self._flush()
        self.read()  # what the other side allows

    def call(self, path: str, *metadata: tuple[str, str]) -> int:
        """Begin a call; its stream."""
        stream = self._http.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        more = [("te", "trailers"), ("content-type", "application/grpc")]
        self._http.send_headers(stream, [*headers, *more, *metadata])
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, end: bool = False) -> int:
        """Send as much of `data` as the other side allows within a moment; how much that was."""
        sent = 0
        while sent < len(data):
            if stream in self.statuses or self.gone:
                return sent
            room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)
            if room > 0:
                self._http.send_data(stream, data[sent : sent + room])
                sent += min(room, len(data) - sent)
            else:
                self._flush()
                if not self.read(0.05):
                    break
        if end and sent == len(data):
            self._http.end_stream(stream)
        self._flush()
        return sent

    def allow(self, stream: int, count: int) -> None:
        """Let it send so many bytes more on a stream."""
        self._http.increment_flow_control_window(count, stream)
        self._flush()

    def read(self, seconds: float = PATIENCE) -> list[Event]:
        """What comes within so long, at least one thing unless that is nothing."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            return []
        except OSError:
            data = b""
        self.gone = not data
        events = self._http.receive_data(data) if data else []
        for event in events:
            if isinstance(event, DataReceived):
                self.heard[event.stream_id] = self.heard.get(event.stream_id, b"") + event.data
                if event.flow_controlled_length:
                    self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, ResponseReceived | TrailersReceived):
                if "grpc-status" in (headers := dict(event.headers)):
                    self.statuses[event.stream_id] = headers["grpc-status"]
            elif isinstance(event, StreamReset | StreamEnded):
                self.statuses.setdefault(event.stream_id, "")
        if not self.gone:
            self._flush()
        return events

    def read_until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Read on until that is so."""
        end = time.monotonic() + seconds
        while not (condition() or self.gone):
            assert time.monotonic() < end
            self.read(0.1)

    def vanish(self) -> None:
        """Go without a farewell; others may have the port at once."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _flush(self) -> None:
        try:
            self._socket.sendall(self._http.data_to_send())
        except OSError:
            self.gone = True
