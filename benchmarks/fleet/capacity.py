"""How many devices one target serves at a stated text speed, in simulated time: no figure hangs on this machine.

Each device begins a text whenever its reader, at that speed, would have read the one before, and writes it as fast as
it can. It keeps the speed if no token comes later than half a second after that reader wants it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.fleet.device import Device
from benchmarks.fleet.traces import Pass, Trace

# Seconds that a token may be late: what a reader's first glance takes.
GRACE = 0.5
# Of the texts, so many must keep the speed.
SHARE = 0.95
# More devices are not tried.
MOST = 50_000
# Texts of each device, and of all together, at least; what a device's first takes is not looked at, for it begins on an
# idle target.
TEXTS, ALL = 3, 600
# How exactly the number of devices is found.
_WITHIN = 0.02


@dataclass(frozen=True)
class Load:
    """What so many devices come to.

    Attributes:
        devices: that write.
        kept: share of their texts that keep the speed.
        passes: of the target, a token.
        joined: passes in which a text took part, a token: what it would take alone.
        read: tokens that the target read, guesses among them, a token.
        busy: seconds of the target, a token.
        drafting: share of these in which a draft beside it worked.
        use: share of the time in which it was busy.
    """

    devices: int
    kept: float
    passes: float
    joined: float
    read: float
    busy: float
    drafting: float
    use: float


class _Writer:
    """A device with its texts."""

    def __init__(self, number: int, traces: Sequence[Trace], texts: int, speed: float, chance: Random) -> None:
        self.number = number
        self._texts = [chance.choice(traces) for _ in range(texts)]
        self._speed = speed
        self.begin = chance.random() * self._texts[0].tokens / speed
        self.passes = deque(self._texts[0].passes)
        self._written = 0
        self._next = 1  # token that the user waits for
        self._keeps, self.kept, self.tokens = True, 0, 0

    @property
    def first(self) -> float:
        """When it asks for the first time."""
        return self.begin + self.passes[0].gap

    def now(self) -> Pass:
        """The pass that it waits for."""
        return self.passes[0]

    def arrived(self, at: float) -> None:
        """It asks for a pass: what was shown before has been in time, or not."""
        self._see(at, self._next)
        self._next = max(self._next, self.passes[0].shown + 1)

    def served(self, again: Pass | None, end: float) -> float | None:
        """Its pass is over; returns when it asks for the next, None where all is written."""
        self.passes.popleft()
        if again is not None:
            self.passes.appendleft(again)
        if self.passes:
            return end + self.passes[0].gap
        self._see(end, self._next)
        self.kept += self._keeps and self._written > 0
        self._keeps = True
        text = self._texts[self._written]
        self.tokens += text.tokens
        self._written += 1
        if self._written == len(self._texts):
            return None
        self.begin = max(self.begin + text.tokens / self._speed, end)
        self.passes, self._next = deque(self._texts[self._written].passes), 1
        return self.first

    def _see(self, at: float, token: int) -> None:
        if at > self.begin + GRACE + token / self._speed:
            self._keeps = False


def load(traces: Sequence[Trace], devices: int, speed: float, device: Device, seed: int = 0) -> Load:
    """So many devices at once.

    Args:
        traces: that each draws its texts from.
        speed: that their readers read at, tokens a second.
        device: of the target.
    """
    chance = Random(f"{seed} {devices}")
    texts = max(TEXTS, 1 + ALL // devices)
    writers = [_Writer(number, traces, texts, speed, chance) for number in range(devices)]
    coming = [(writer.first, number) for number, writer in enumerate(writers)]
    heapq.heapify(coming)
    waiting: deque[_Writer] = deque()
    now = busy = drafting = 0.0
    passes = joined = read = 0
    while coming or waiting:
        if not waiting:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            at, number = heapq.heappop(coming)
            writers[number].arrived(at)
            waiting.append(writers[number])
        taken, seconds = device.take(waiting, _Writer.now)
        now, busy, passes, joined = now + seconds, busy + seconds, passes + 1, joined + len(taken)
        fed = sum(here.needed + here.guesses for _, here, _ in taken)
        read, drafting = read + fed, drafting + seconds - device.seconds(fed, len(taken))
        for writer, _, again in taken:
            if (at_next := writer.served(again, now)) is not None:
                heapq.heappush(coming, (at_next, writer.number))
    tokens = sum(writer.tokens for writer in writers)
    kept = sum(writer.kept for writer in writers) / (devices * (texts - 1))
    return Load(
        devices, kept, passes / tokens, joined / tokens, read / tokens, busy / tokens, drafting / busy, busy / now
    )


def most_devices(
    traces: Sequence[Trace], speed: float, device: Device, tell: Callable[[Load], None] = lambda _: None
) -> Load | None:
    """The most devices of whose texts `SHARE` keep the speed, to `_WITHIN`; None where not even one's do.

    Args:
        tell: hears of each number that was tried.
    """

    def tried(devices: int) -> Load:
        found = load(traces, devices, speed, device)
        tell(found)
        return found

    best, most = tried(1), 2
    if best.kept < SHARE:
        return None
    while most <= MOST and (found := tried(most)).kept >= SHARE:
        best, most = found, 2 * most
    while most - best.devices > max(_WITHIN * best.devices, 1):
        found = tried((best.devices + most) // 2)
        if found.kept >= SHARE:
            best = found
        else:
            most = found.devices
    return best
