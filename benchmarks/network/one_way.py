"""When a packet comes out of one direction of a link: pure arithmetic on the time that it is given."""

from __future__ import annotations

import math
import random

from benchmarks.network.profiles import Profile

# Time in which the delay forgets where it was, seconds. Independent jitter of each packet would be undone by keeping
# their order: a burst would always wait for its slowest.
WANDER = 0.2
# A full queue drops what comes: so many seconds of sending at the link's rate.
QUEUE = 0.25


class Stalls:
    """The times at which nothing passes, of both directions together.

    Args:
        every: mean time from the end of one to the beginning of the next, seconds; 0 for none.
        length: of one, seconds, give or take half.
    """

    def __init__(self, every: float, length: float, seed: int) -> None:
        self._every, self._length = every, length
        self._random = random.Random(f"stalls {seed}")
        self._begin = self._end = -math.inf  # of the stall that comes next, or that lasts

    def passes(self, due: float) -> float:
        """When something gets through that would at `due`. Times may be asked for in any order within one stall."""
        if not self._every:
            return due
        if self._end == -math.inf:
            self._next(due)
        while due >= self._end:
            self._next(self._end)
        return self._end if due >= self._begin else due

    def _next(self, after: float) -> None:
        self._begin = after + self._random.expovariate(1 / self._every)
        self._end = self._begin + self._length * self._random.uniform(0.5, 1.5)


class OneWay:
    """One direction of a link. Packets keep their order.

    Args:
        profile: of the link.
        rate: of this direction, bits a second; 0 is no limit.
        stalls: shared with the other direction.
        seed: of its jitter and losses.
    """

    def __init__(self, profile: Profile, rate: float, stalls: Stalls, seed: int) -> None:
        self._profile, self._rate, self._stalls = profile, rate, stalls
        self._random = random.Random(f"one way {seed}")
        self._sent = -math.inf  # when the last packet has left the queue
        self._out = -math.inf  # when it comes out
        self._drift, self._at = 0.0, -math.inf

    def loses(self) -> bool:
        """Whether the next packet is lost."""
        return self._profile.loss > 0 and self._random.random() < self._profile.loss

    def is_full(self, now: float) -> bool:
        """Whether a packet that comes at `now` finds no room in the queue."""
        return self._sent - now > QUEUE

    def arrival(self, now: float, size: int, late: float = 0.0) -> float:
        """When a packet comes out.

        Args:
            now: when it goes in, seconds on any clock that does not go back.
            size: of it, bytes.
            late: seconds that it is held up beside.
        """
        self._sent = max(now, self._sent) + (8 * size / self._rate if self._rate else 0.0)
        due = self._sent + self._delay(self._sent) + late
        self._out = max(self._out, self._stalls.passes(due))
        return self._out

    def _delay(self, now: float) -> float:
        """Half a round trip and its jitter, which is an Ornstein-Uhlenbeck process; at least a quarter."""
        mean, deviation = self._profile.round_trip / 2, self._profile.jitter / math.sqrt(2)
        if deviation:
            kept = math.exp((self._at - now) / WANDER)
            self._drift = kept * self._drift + math.sqrt(1 - kept * kept) * self._random.gauss(0, 1)
            self._at = now
        return max(mean + deviation * self._drift, mean / 2)


def both_ways(profile: Profile, seed: int) -> tuple[OneWay, OneWay]:
    """From the device and to it."""
    stalls = Stalls(profile.stall_every, profile.stall_for, seed)
    return OneWay(profile, profile.up, stalls, 2 * seed), OneWay(profile, profile.down, stalls, 2 * seed + 1)
