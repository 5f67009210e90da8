"""The keys of the metadata that travels with calls: the contract beside the messages."""

from __future__ import annotations

import hashlib
import re

# With every call: `Bearer TOKEN`, where the target wants to know who asks.
AUTHORIZATION = "authorization"
# With a call, where its caller or a proxy gives it an id; trailing, with every call that ends with an error: the id by
# which the target's log knows it. The key is what proxies commonly use.
REQUEST_ID = "x-request-id"
# With `Decode` and `Release`: which session the call is about, so that a proxy that hashes it sends all calls of a
# session to the replica that has its cache. Targets do not look at it.
SESSION = "tandem-session"
# Trailing, with every call that ends with an error: its machine-readable reason (`shared/errors.py`).
REASON = "tandem-reason"
# Trailing, where another try may succeed: milliseconds until then. The key is gRPC's own (proposal A6).
PUSHBACK = "grpc-retry-pushback-ms"

# Characters of a call's id that are kept; a UUID has 36.
LONGEST_ID = 64
# Hex digits of a session's key: enough to spread sessions evenly, and far too few to name one.
_KEY_DIGITS = 16
_NO_ID = re.compile(r"[^A-Za-z0-9._-]+")


def clean_id(given: object) -> str:
    """What of a call's id can stand in a line of a log, or on a terminal, whoever sent it; "" where nothing can."""
    return _NO_ID.sub("", given)[:LONGEST_ID] if isinstance(given, str) else ""


def session_key(session_id: bytes) -> str:
    """What proxies may know a session by: 16 hex digits, the same whenever the id is, from which the id cannot be told.

    Who knows a session's id may ask about its text, so the id itself does not belong into the logs of a proxy.
    """
    return hashlib.sha256(b"tandem-session\0" + session_id).hexdigest()[:_KEY_DIGITS]


def about_session(session_id: bytes, others: tuple[tuple[str, str], ...] = ()) -> tuple[tuple[str, str], ...]:
    """The metadata of a call about a session: what goes with every call, and its key."""
    return (*others, (SESSION, session_key(session_id)))
