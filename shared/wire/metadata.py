"""The keys of the metadata that travels with calls: the contract beside the messages."""

from __future__ import annotations

# With every call: `Bearer TOKEN`, where the target wants to know who asks.
AUTHORIZATION = "authorization"
# Trailing, with every call that ends with an error: its machine-readable reason (`shared/errors.py`).
REASON = "tandem-reason"
# Trailing, where another try may succeed: milliseconds until then. The key is gRPC's own (proposal A6).
PUSHBACK = "grpc-retry-pushback-ms"
