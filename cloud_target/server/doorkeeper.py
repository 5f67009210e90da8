"""Bounds what is said over connections without a token: what the gRPC library does with it, it tells nobody.

It refuses calls beyond those that a connection may have, and forgets those that are reset; it acknowledges settings and
answers pings, as many as come. Each costs little, and all of it a core for one connection that goes on and on. What is
seen from outside is how many bytes came: more than all calls in vain may have that such a connection gets answers to,
and it is sent away.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cloud_target.server.links import Link, Links
from cloud_target.server.silencing import Silencer

# Seconds between two looks; between two for so long after one was sent away, as there may be others like it; and what
# share of the time they may take.
_LOOK, _SOON, _ALERT, _SHARE = 0.2, 0.02, 5.0, 0.02


@dataclass(frozen=True)
class SpeechLimits:
    """What a connection may say that has shown no token.

    Attributes:
        together: bytes at once.
        pace: bytes a second in the long run. A balancer that asks for health ten times a second says half as much.
    """

    together: int
    pace: float = 4096.0


class Speech:
    """What each connection has said.

    Args:
        limits: for each.
    """

    def __init__(self, limits: SpeechLimits) -> None:
        self._limits = limits
        # By number: bytes that came, and those of them that are not made up for by time yet.
        self._said: dict[int, tuple[int, float]] = {}
        self._at = 0.0

    def too_much(self, links: Iterable[Link], now: float) -> list[Link]:
        """Those that have said more than they may, among all that are bound.

        Args:
            links: all of them; nothing is kept of others.
            now: seconds, of a clock that never goes back.
        """
        limits, faded = self._limits, (now - self._at) * self._limits.pace
        said, found = {}, []
        for link in links:
            before, level = self._said.get(link.number, (0, 0.0))
            came = link.received()
            level = max(0.0, level - faded) + came - before
            said[link.number] = came, level
            if level > limits.together:
                found.append(link)
        self._said, self._at = said, now
        return found


class Doorkeeper:
    """Looks at all connections again and again. Use inside one event loop.

    Args:
        links: which there are.
        limits: for those that are not known.
        silencer: sends the others away.
        sees: told of all connections at each look; gives the numbers of those that are known.
        sent_away: told the name of each connection that is.
    """

    def __init__(
        self,
        links: Links,
        limits: SpeechLimits,
        silencer: Silencer,
        sees: Callable[[list[Link]], set[int]],
        sent_away: Callable[[str], None],
    ) -> None:
        self._links, self._speech, self._silencer = links, Speech(limits), silencer
        self._sees, self._sent_away = sees, sent_away

    async def keep_looking(self) -> None:
        """Until it is cancelled; at once over where the system does not tell."""
        if not self._links.are_told():
            return
        alert = -math.inf
        while True:
            begun = time.monotonic()
            if self._look():
                alert = begun + _ALERT
            ended = time.monotonic()
            await asyncio.sleep(max(_SOON if ended < alert else _LOOK, (ended - begun) / _SHARE))

    def _look(self) -> int:
        """How many are sent away."""
        try:
            there = self._links.now()
        except OSError:
            return 0  # what is not seen at the moment is not gone: whoever is known stays so
        known = self._sees(there)
        bound = [link for link in there if link.number not in known]
        too_loud = self._speech.too_much(bound, time.monotonic())
        sent_away = [link for link in too_loud if self._silencer.send_away(link)]
        for link in sent_away:
            self._sent_away(link.name)
        return len(sent_away)
