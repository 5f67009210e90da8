"""Clients whose patience costs no time."""

from __future__ import annotations

import random

from edge_client.target.client import TargetClient
from edge_client.target.retry import Retry
from edge_client.target.transport import Transport
from edge_client.testing import ManualClock


def client_of(transport: Transport, clock: ManualClock | None = None) -> TargetClient:
    """A client on a fake transport, with a clock that costs no time and pauses that are always the same."""
    return TargetClient(transport, "loopback:0", Retry(), clock or ManualClock(), random.Random(0))
