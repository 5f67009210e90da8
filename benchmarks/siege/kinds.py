"""The kinds of strangers: what each says to a target, what it reads of the answers, and when it comes back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from grpc_health.v1 import health_pb2

from benchmarks.siege.said import CHECK, DECODE, DESCRIBE, WATCH, all_at_once, calls, framed, greeting, pings, settings

# Calls of one connection, more than a server allows at once by itself (`--connection-streams`).
CALLS = 128
# Frames of a flood that are made at a time.
BATCH = 1000
# What of a message a server takes in before it reads.
_START = 1 << 14


class Way(Enum):
    """How a stranger comes."""

    TCP = auto()
    HALF_TLS = auto()  # it begins to encrypt, and does not go on
    TLS = auto()
    METRICS = auto()


@dataclass(frozen=True)
class Kind:
    """One of them. It comes again half a second after it was sent away, or has gone.

    Attributes:
        name: for people; short.
        way: how it comes.
        says: once.
        again: and then on and on, as fast as the other side takes it; makes the next part from its number, from 0.
        reads: what it is told, all of it at once; others nothing.
        stays: seconds after which it vanishes by itself.
    """

    name: str
    way: Way = Way.TLS
    says: bytes = b""
    again: Callable[[int], bytes] | None = None
    reads: bool = True
    stays: float = math.inf


def _on_and_on(part: bytes) -> Callable[[int], bytes]:
    return lambda _: part


def _of_calls(path: str, then: str, **metadata: str) -> Callable[[int], bytes]:
    return lambda number: calls(path, number * BATCH, BATCH, then, metadata.items())


_ASKED = framed(b"")
_NAMED = framed(health_pb2.HealthCheckRequest(service="x" * 10_000).SerializeToString())
_BEGUN = framed(health_pb2.HealthCheckRequest(service="x" * 300_000).SerializeToString())[:_START]
_LARGE = [(f"x-{number}", "v" * 480) for number in range(14)]  # 7 KiB, most of what a call may have
_TOO_LARGE = [(f"x-{number}", "v" * 480) for number in range(140)]
_SCRAPES = b"GET /metrics HTTP/1.1\r\n\r\n" * 100

KINDS = (
    Kind("silent", Way.TCP),
    Kind("half a TLS handshake", Way.HALF_TLS),
    Kind("half a greeting", says=greeting()[:20]),
    Kind("half of a call's headers", says=greeting() + calls(DECODE, 0, 1, "half")),
    Kind("never send", says=all_at_once(DECODE, CALLS)),
    Kind("half a message", says=all_at_once(DECODE, CALLS, _BEGUN), reads=False),
    Kind("half a question to health", says=all_at_once(CHECK, CALLS, _BEGUN)),
    Kind("watch without a window", says=all_at_once(WATCH, CALLS, _ASKED, window=0, end=True)),
    Kind("watch long names", says=all_at_once(WATCH, CALLS, _NAMED, end=True)),
    Kind("ask health, read nothing", says=all_at_once(CHECK, CALLS, _ASKED, window=0, end=True), reads=False),
    Kind("large metadata", says=all_at_once(DECODE, CALLS, _BEGUN, _LARGE)),
    Kind("too large metadata", says=greeting(), again=lambda number: calls(DECODE, number, 1, "end", _TOO_LARGE)),
    Kind("pings", says=greeting(), again=_on_and_on(pings(BATCH))),
    Kind("pings, read nothing", says=greeting(), again=_on_and_on(pings(BATCH)), reads=False),
    Kind("settings", says=greeting(), again=_on_and_on(settings(BATCH))),
    Kind("settings, read nothing", says=greeting(), again=_on_and_on(settings(BATCH)), reads=False),
    Kind("calls reset at once", says=greeting(), again=_of_calls(DECODE, "reset")),
    Kind("calls with a wrong token", says=greeting(), again=_of_calls(DESCRIBE, "end", authorization="Bearer wrong")),
    Kind("come and vanish", says=all_at_once(DECODE, CALLS, _BEGUN), stays=0.05),
    Kind(
        "scrape metrics, read nothing",
        Way.METRICS,
        again=_on_and_on(b"GET /metrics HTTP/1.1\r\n\r\n" * 100),
        reads=False,
    ),
)


def shared_out(connections: int, names: list[str] | None = None) -> list[Kind]:
    """A kind for each connection: all of them, or those with these names, by turns."""
    chosen = [kind for kind in KINDS if names is None or kind.name in names]
    return [chosen[number % len(chosen)] for number in range(connections)]
