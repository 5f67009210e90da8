"""What strangers say to a target, made beforehand: HTTP/2 as bytes, valid or not, as no gRPC library would send it."""

from __future__ import annotations

from collections.abc import Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hpack import Encoder
from hyperframe.frame import Frame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

# What every connection begins with (RFC 9113, 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# HTTP/2's codes for "nobody wants it any more", and of a setting that changes nothing here.
_CANCEL, _HEADER_TABLE_SIZE = 8, 1

DECODE, DESCRIBE = "/tandem.v1.TargetService/Decode", "/tandem.v1.TargetService/Describe"
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"


def framed(message: bytes) -> bytes:
    """A message as gRPC frames it."""
    return b"\0" + len(message).to_bytes(4, "big") + message


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
    said = []
    for number in range(calls):
        http.send_headers(2 * number + 1, _headers(path, metadata))
        http.outbound_flow_control_window = 1 << 30
        for begin in range(0, len(data), 1 << 14):
            http.send_data(2 * number + 1, data[begin : begin + (1 << 14)])
        if end:
            http.end_stream(2 * number + 1)
        said.append(http.data_to_send())
    return b"".join(said)


def greeting(window: int = 65_535) -> bytes:
    """The preface and the first settings, which allow each call to be sent so many bytes."""
    return PREFACE + SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: window}).serialize()


def pings(count: int) -> bytes:
    """So many pings."""
    return PingFrame(opaque_data=b"besieged").serialize() * count


def settings(count: int) -> bytes:
    """So many times the same settings, each of which the other side has to acknowledge."""
    return SettingsFrame(settings={_HEADER_TABLE_SIZE: 4096}).serialize() * count


def calls(path: str, first: int, count: int, then: str, metadata: Iterable[tuple[str, str]] = ()) -> bytes:
    """So many calls of a connection, without having heard how many it may make at once.

    Args:
        first: number of the first of them on this connection, from 0.
        then: what becomes of each: "reset" at once, "end" without a message, or "half" of its headers and no more.
    """
    # Of an encoder that has encoded nothing else: such a block may come at any place of a connection, and again.
    block = Encoder().encode(_headers(path, metadata), huffman=False)
    flags = {"reset": ["END_HEADERS"], "end": ["END_HEADERS", "END_STREAM"], "half": []}[then]
    frames: list[Frame] = []
    for stream in range(2 * first + 1, 2 * (first + count), 2):
        frames.append(HeadersFrame(stream, data=block, flags=flags))
        if then == "reset":
            frames.append(RstStreamFrame(stream, error_code=_CANCEL))
    return b"".join(frame.serialize() for frame in frames)


def _headers(path: str, metadata: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    return [*headers, ("te", "trailers"), ("content-type", "application/grpc"), *metadata]
