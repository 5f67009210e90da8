"""A connection that has shown no token is reset when it has said too much, whatever it was, and no other one is."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.siege.said import CHECK, DECODE, DESCRIBE, calls, framed, greeting, pings, settings
from cloud_target.access.tokens import add_line, new_token
from cloud_target.server.doorkeeper import Speech, SpeechLimits
from cloud_target.server.links import Links
from shared.addresses import parse_address
from tests.cloud_target.server.process import BesiegedProcess
from tests.cloud_target.server.raw_peer import RawPeer

UNAUTHENTICATED = "16"
# More than anybody may say without a token, by far.
FLOOD = 60_000_000


@dataclass
class Said:
    """A connection over which so many bytes came."""

    number: int
    bytes: int = 0

    def received(self) -> int:
        return self.bytes


def test_what_is_said_together_and_in_the_long_run():
    speech, one, other = Speech(SpeechLimits(together=1000, pace=10.0)), Said(1), Said(2)
    one.bytes = 1000
    assert speech.too_much([one, other], 0.0) == []
    other.bytes = 1001
    assert speech.too_much([one, other], 0.0) == [other]
    one.bytes = 1100
    assert speech.too_much([one], 10.0) == []
    for second in range(100):  # as much as fades
        one.bytes += 10
        assert speech.too_much([one], 11.0 + second) == []
    one.bytes += 12
    assert speech.too_much([one], 111.0) == [one]


def test_who_was_silent_for_long_may_say_no_more_than_others():
    speech, one = Speech(SpeechLimits(together=1000, pace=10.0)), Said(1)
    assert speech.too_much([one], 0.0) == []
    one.bytes = 1001
    assert speech.too_much([one], 1e6) == [one]


def test_nothing_is_kept_of_who_is_not_bound():
    speech, one = Speech(SpeechLimits(together=1000, pace=10.0)), Said(1, 900)
    assert speech.too_much([one], 0.0) == []
    assert speech.too_much([], 0.0) == []
    assert not speech._said


@pytest.fixture(scope="module")
def besieged(tmp_path_factory) -> Iterator[tuple[BesiegedProcess, tuple[str, str]]]:
    if not Links().are_told():
        pytest.skip("this system does not tell of connections")
    path: Path = tmp_path_factory.mktemp("tokens") / "tokens"
    token, line = new_token("acme")
    add_line(path, line)
    with BesiegedProcess(tokens=str(path)) as server:
        yield server, ("authorization", f"Bearer {token}")


def told(peer: RawPeer, path: str, message: bytes, *metadata: tuple[str, str]) -> str | None:
    """The status of a call; None where the connection went."""
    stream = peer.call(path, *metadata)
    peer.send(stream, framed(message), end=True)
    peer.read_until(lambda: stream in peer.statuses)
    return peer.statuses.get(stream)


def says_until_it_goes(address: str, said: Callable[[int], bytes], most: int) -> int:
    """Bytes that a stranger got rid of before he was sent away, or all of them; he reads what he is told."""
    sent = number = 0
    with socket.create_connection(parse_address(address), timeout=20.0) as link, suppress(ConnectionError):
        link.sendall(greeting())
        link.setblocking(False)
        while sent < most:
            left = memoryview(said(number))
            number += 1
            while left:
                with suppress(BlockingIOError):
                    if not link.recv(1 << 16):
                        return sent
                try:
                    count = link.send(left)
                    sent, left = sent + count, left[count:]
                except BlockingIOError:
                    time.sleep(0.001)
    return sent


@pytest.mark.slow
@pytest.mark.parametrize(
    "said",
    [
        lambda number: calls(DECODE, 1000 * number, 1000, "reset"),
        lambda number: calls(DESCRIBE, 1000 * number, 1000, "end", [("authorization", "Bearer wrong")]),
        lambda _: pings(1000),
        lambda _: settings(1000),
    ],
    ids=["calls reset at once", "calls beyond the limit", "pings", "settings"],
)
def test_who_goes_on_and_on_is_sent_away(besieged, said):
    """Also where the library refuses, forgets or answers all of it by itself."""
    server, token = besieged
    with RawPeer(server.address) as honest:
        assert told(honest, DESCRIBE, b"", token) == "0"
        assert says_until_it_goes(server.address, said, FLOOD) < FLOOD
        assert told(honest, DESCRIBE, b"", token) == "0"


@pytest.mark.slow
def test_who_has_shown_a_token_may_say_as_much_as_it_takes(besieged):
    server, token = besieged
    with RawPeer(server.address) as honest:
        assert told(honest, DESCRIBE, b"", token) == "0"
        for _ in range(200):
            assert told(honest, CHECK, b"\n" + _varint(15_000) + b"x" * 15_000) in ("5", "8")
        assert told(honest, DESCRIBE, b"", token) == "0"


@pytest.mark.slow
def test_who_is_known_stays_so_where_no_descriptor_is_left(besieged):
    """The target cannot look then, and what it does not see is not gone."""
    server, token = besieged
    with RawPeer(server.address) as honest:
        for _ in range(120):  # of a field that nobody knows
            assert told(honest, DESCRIBE, b"\x7a" + _varint(15_000) + b"x" * 15_000, token) == "0"
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (5, hard))
        time.sleep(1.0)  # some looks
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
        time.sleep(1.0)
        assert told(honest, CHECK, b"") == "0"


@pytest.mark.slow
def test_whose_token_is_wrong_hears_so_however_long_the_texts_are(besieged):
    """As many as a connection may have calls, each with as much as is taken in before it is refused."""
    server, _ = besieged
    with RawPeer(server.address) as device:
        asked: list[int] = []
        for _ in range(32):
            asked.append(device.call(DECODE, ("authorization", "Bearer wrong")))
            device.send(asked[-1], framed(bytes(200_000)))
        device.read_until(lambda: len(device.statuses) == len(asked))
        answers: Any = {device.statuses[stream] for stream in asked}
        assert UNAUTHENTICATED in answers
        time.sleep(0.5)
        assert told(device, CHECK, b"") == "0"


def _varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])
