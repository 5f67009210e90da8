"""How long to wait for a target, and how often to try again."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field, fields
from typing import Protocol

from shared import values
from shared.errors import LinkBroken, TargetAway, TargetBusy, TargetUnavailable

# What a later try may mend; any other error is final.
PASSING = (LinkBroken, TargetBusy)


class Clock(Protocol):
    """Time as the retries see it, in seconds; tests pass their own."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)


@dataclass(frozen=True)
class Retry:
    """How patient the edge is. All times in seconds, a week at most.

    Attributes:
        attempt: the longest wait for one answer.
        total: the longest time without any progress, over all attempts.
        first_pause: after the first failure; doubles with each further one, and a random half of it is left out.
        longest_pause: where the doubling ends.
        busy_pause: the shortest pause when the target says that it has no room, but not for how long.
        grace: how long a link that broke in the middle of a text may take to mend, where the text does not wait
            (`on_outage`): a broken link is no slow target.

    Raises:
        InputError: one is no such time.
    """

    attempt: float = 30.0
    total: float = 60.0
    first_pause: float = 0.05
    longest_pause: float = 1.0
    busy_pause: float = 0.5
    grace: float = 0.8

    def __post_init__(self) -> None:
        for field_ in fields(self):
            object.__setattr__(self, field_.name, values.seconds(field_.name, getattr(self, field_.name)))


@dataclass
class Patience:
    """The patience of one call: what is left of it, and the pauses that it takes.

    Attributes:
        address: of the target, for the message when the patience is used up.
        tells: whether somebody waits for this, and is told if it takes long.
        grace: seconds from the first broken link until it is used up; endless where all of it is waited for.
        what: is wanted, for messages.
    """

    retry: Retry
    address: str
    clock: Clock = field(default_factory=SystemClock)
    chance: random.Random = field(default_factory=random.Random)
    tells: bool = True
    grace: float = math.inf
    what: str = "this text"

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Something was achieved: start again with fresh patience."""
        self._end = self.clock.now() + self.retry.total
        self._is_broken = False
        self._pause = self.retry.first_pause

    @property
    def left(self) -> float:
        """Seconds until it is used up."""
        return max(0.0, self._end - self.clock.now())

    def attempt(self) -> float:
        """Seconds that the next attempt may take."""
        return min(self.retry.attempt, self.left)

    def after(self, error: TargetUnavailable) -> float:
        """Pause after a failure; returns the seconds of it that the target imposed because it has no room.

        Raises:
            TargetAway: the patience is used up.
        """
        pause = self._pause * (0.5 + 0.5 * self.chance.random())
        if isinstance(error, TargetBusy):
            # What the target says, and a little chance, lest all who wait come back together.
            wanted = error.retry_after
            pause = max(pause, self.retry.busy_pause) if wanted is None else wanted + pause
        elif not self._is_broken:
            self._is_broken = True
            self._end = min(self._end, self.clock.now() + self.grace)
        self._pause = min(2 * self._pause, self.retry.longest_pause)
        if self.clock.now() + pause >= self._end:
            away = self._given_up(error)
            away.request_id = error.request_id
            raise away from error
        self.clock.sleep(pause)
        return pause if isinstance(error, TargetBusy) else 0.0

    def _given_up(self, error: TargetUnavailable) -> TargetAway:
        if isinstance(error, TargetBusy):
            return TargetAway(
                f"the target at {self.address} has no room for {self.what} ({error}); try again later, or write "
                "without it",
                f"the target at {self.address} has no room for {self.what} ({error})",
                may_return=False,
                options=("mode local",),
            )
        return TargetAway(
            f"cannot reach the target at {self.address} ({error}); "
            "start one with `cloud-target serve`, check the address, or write without it",
            f"the target at {self.address} is not reached ({error})",
            options=("target", "mode local"),
        )
