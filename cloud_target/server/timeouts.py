"""How long the service waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Seconds each.

    Attributes:
        patience: that a request waits for room. Clearly shorter than edges wait for an answer, so that they learn why.
        fair: after which a tenant that waits for room, and has nothing at work, is given some of what others have.
        unread: that an answer may wait for its client to read; all the while it keeps its room from others.
        unread_unwanted: the same where someone newer waits for the session, whose edge has most likely left the old
            stream.
        request: that the message of a call which has only one may take to come.
        fetch: that one call may send the bundle; its edge goes on with another.
        token_check: after which a text that the target writes on is held against the tokens again.
    """

    patience: float = 5.0
    fair: float = 1.0
    unread: float = 10.0
    unread_unwanted: float = 1.0
    request: float = 10.0
    fetch: float = 60.0
    token_check: float = 1.0
