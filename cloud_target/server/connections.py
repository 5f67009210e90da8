"""What a connection may cost, whoever is at its other end: limits that hold before anybody says who they are."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from cloud_target.engine.interface import Engine
from cloud_target.protocol.sizes import largest_request, longest_prompt
from shared.errors import InputError

# Connections, where nobody asks for another number and there are descriptors for so many.
CONNECTIONS = 1000
CONNECTIONS_OPTION = "grpc.max_allowed_incoming_connections"
# Descriptors for everything else: files, the port, metrics, what libraries open.
_OTHER_DESCRIPTORS = 100
# Bytes of one call that are taken in before somebody reads them, at least and at most: as much as a prompt can need, so
# that it comes in one go. What is longer comes as it is read, which takes it a round trip more.
_WINDOW = 1 << 14, 1 << 16
# Bytes that are read of a connection at a time. Left to itself the library makes that 4 MiB where a peer sends a lot.
_READ = 1 << 14
# Calls that wait until the event loop takes them. The library ends those beyond, whoever made them; left to itself it
# does so with more and more of them from a thousand on, though honest ones would only have to wait for a moment.
_UNTAKEN = 3000
# Bytes of a call's metadata: a token, and what proxies add.
_METADATA = 1 << 13
# Seconds after which a connection that is not heard would be given up by its peer anyway.
_LONGEST_SILENCE = 60.0


@dataclass(frozen=True)
class ConnectionSettings:
    """Its defaults suit a target of some hundreds of edges.

    Attributes:
        most: connections at once, others are closed as they come; None for `CONNECTIONS`, or as many as descriptors
            allow, if those are fewer.
        streams: calls of one connection at once; clients keep the rest back by themselves.
        idle: seconds without a call after which a connection is closed. Edges connect again with their next text.
        age: seconds after which a connection takes no new calls; clients make another one for those.
        grace: seconds that the calls of a connection of that age may still take. An edge goes on with the rest of a
            text on the next connection, as after any other break.
        silence: seconds for which a connection that is sent away is not heard any more, before it is reset
            (`silencing.py`).
        request_bytes: of the largest message that is taken in; None for what a text can need (`largest_request`).
    """

    most: int | None = None
    streams: int = 32
    idle: float = 600.0
    age: float = 7200.0
    grace: float = 600.0
    silence: float = 2.0
    request_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: with the option's name.
        """
        for name, value in (("connection-streams", self.streams), ("request-size", self.request_bytes)):
            if value is not None and not 0 < value < 1 << 31:
                raise InputError(f"--{name} must be above 0 and below 2**31, not {value}")
        for name, seconds in (("idle", self.idle), ("age", self.age), ("grace", self.grace)):
            if not 0 < seconds <= 1e6:
                raise InputError(f"--connection-{name} must be above 0 and at most a million seconds, not {seconds:g}")
        if not 0 <= self.silence <= _LONGEST_SILENCE:
            raise InputError(f"--connection-silence must be 0 to {_LONGEST_SILENCE:g} seconds, not {self.silence:g}")


def make_room(most: int | None) -> int:
    """See that this process may have enough descriptors for so many connections, and raise its limit if need be.

    Args:
        most: connections; None for as many as there is room for, at most `CONNECTIONS`.

    Returns:
        How many there may be.

    Raises:
        InputError: the system allows fewer than were asked for.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    there = CONNECTIONS + _OTHER_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    connections = min(CONNECTIONS, max(there - _OTHER_DESCRIPTORS, 1)) if most is None else most
    wanted = connections + _OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and most is not None and wanted > hard:
        raise InputError(
            f"{most} connections need {wanted} file descriptors, and this process may have {hard}; "
            "give a smaller --connections, or raise the limit (ulimit -n)"
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, there), hard))
    return connections


def largest_message(settings: ConnectionSettings, engine: Engine) -> int:
    """Bytes of the largest message that is taken in."""
    return settings.request_bytes or largest_request(engine)


def window(engine: Engine) -> int:
    """Bytes of one call that are taken in before somebody reads them."""
    least, most = _WINDOW
    return min(max(least, longest_prompt(engine)), most)


def said_in_vain(calls: int, engine: Engine) -> int:
    """Bytes that so many calls may have said that are refused."""
    return calls * (window(engine) + _METADATA)


def channel_options(settings: ConnectionSettings, engine: Engine) -> list[tuple[str, int]]:
    """The same in gRPC's words, for a server of this engine.

    Raises:
        InputError: see `make_room`.
    """
    return [
        # Twice as much as is taken, so that whoever sends a little too much can be told (`Refusing`).
        ("grpc.max_receive_message_length", min(2 * largest_message(settings, engine), (1 << 31) - 1)),
        (CONNECTIONS_OPTION, make_room(settings.most)),
        ("grpc.max_concurrent_streams", settings.streams),
        ("grpc.max_connection_idle_ms", round(1e3 * settings.idle)),
        ("grpc.max_connection_age_ms", round(1e3 * settings.age)),
        ("grpc.max_connection_age_grace_ms", round(1e3 * settings.grace)),
        ("grpc.server.max_pending_requests", _UNTAKEN),
        ("grpc.server.max_pending_requests_hard_limit", _UNTAKEN),
        # Left to itself the library takes in 4 MiB of each call, and more, before anybody reads them.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", window(engine)),
        ("grpc.experimental.tcp_max_read_chunk_size", _READ),
        ("grpc.max_metadata_size", _METADATA),
        ("grpc.absolute_max_metadata_size", _METADATA),
        ("grpc.server_handshake_timeout_ms", 10_000),
    ]
