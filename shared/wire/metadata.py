"""The keys of the metadata that travels with calls: the contract beside the messages."""

from __future__ import annotations

import re

# With every call: `Bearer TOKEN`, where the target wants to know who asks.
AUTHORIZATION = "authorization"
# With a call, where its caller or a proxy gives it an id; trailing, with every call that ends with an error: the id by
# which the target's log knows it. The key is what proxies commonly use.
REQUEST_ID = "x-request-id"
# Trailing, with every call that ends with an error: its machine-readable reason (`shared/errors.py`).
REASON = "tandem-reason"
# Trailing, where another try may succeed: milliseconds until then. The key is gRPC's own (proposal A6).
PUSHBACK = "grpc-retry-pushback-ms"

# Characters of a call's id that are kept; a UUID has 36.
LONGEST_ID = 64
_NO_ID = re.compile(r"[^A-Za-z0-9._-]+")


def clean_id(given: object) -> str:
    """What of a call's id can stand in a line of a log, or on a terminal, whoever sent it; "" where nothing can."""
    return _NO_ID.sub("", given)[:LONGEST_ID] if isinstance(given, str) else ""
