"""Closes connections that the gRPC library holds, which knows no way to say so."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from cloud_target.server.links import Address, Link, Links, place_of
from cloud_target.server.silencing import Silencer

# What share of the time may go by looking for connections among all descriptors.
_SHARE = 0.25


class Cutter:
    """Closes connections by the names that the library gives them; what it holds of them ends as if their peers had
    gone. Use inside one event loop.

    Args:
        links: among which they are.
        silencer: sends them away.
    """

    def __init__(self, links: Links, silencer: Silencer) -> None:
        self._links, self._silencer = links, silencer
        self._wanted: set[Address] = set()
        self._again = 0.0  # when the descriptors may be looked at again
        self._is_due = False

    def cut(self, peer: str) -> None:
        """Close this connection, at once or in a moment.

        Two may have one name, which came from the same place to different addresses of this machine. Neither is closed
        then: it might be the other one that is meant.

        Args:
            peer: as gRPC names it.
        """
        if address := place_of(peer):
            self._wanted.add(address)
        if not self._is_due:
            self._is_due = True
            loop = asyncio.get_running_loop()
            if self._again <= loop.time():
                self._cut()
            else:
                loop.call_at(self._again, self._cut)

    def spare(self, peer: str) -> None:
        """Whoever has this name by now is not to be closed."""
        if self._wanted:
            self._wanted.discard(place_of(peer) or (b"", 0))

    def _cut(self) -> None:
        begun, clock = time.perf_counter(), asyncio.get_running_loop().time
        wanted, self._wanted, self._is_due = self._wanted, set(), False
        there: list[Link] = []
        if wanted:
            with suppress(OSError):  # they are counted anew, and may be closed later
                there = self._links.now()
        for address in wanted:
            named = [link for link in there if link.peer == address]
            if len(named) == 1:
                self._silencer.send_away(named[0])
        self._again = clock() + (time.perf_counter() - begun) * (1 / _SHARE - 1)
