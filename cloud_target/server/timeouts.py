"""How long the service waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Seconds each.

    Attributes:
        patience: that a request waits for room. Clearly shorter than edges wait for an answer, so that they learn why.
        again: after which an edge that was refused is to come again.
        place: that its place in the line for room is kept for it: for `again`, the pause of its own that an edge adds
            (up to a second), and a new connection.
        fair: after which a tenant that waits for room, and has nothing at work, is given some of what others have.
        pace: that an answer may wait for its client to read, on average, where others wait for room.
        behind: so far may a client fall behind that pace before its text gives its room to others.
        unread: that any one answer may wait for its client to read.
        unread_unwanted: the same where someone newer waits for the session, whose edge has most likely left the old
            stream.
        request: that the message of a call which has only one may take to come.
        fetch: that one call may send the bundle; its edge goes on with another.
        token_check: between two looks at whether those who are in a call may still call.
    """

    patience: float = 5.0
    again: float = 0.5
    place: float = 3.0
    fair: float = 1.0
    pace: float = 0.1
    behind: float = 2.0
    unread: float = 10.0
    unread_unwanted: float = 1.0
    request: float = 10.0
    fetch: float = 60.0
    token_check: float = 1.0
