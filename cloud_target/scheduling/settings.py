"""How feeds share the device."""

from __future__ import annotations

from dataclasses import dataclass

# Tokens of a call that takes one pass on any device, because several would take longer for everybody.
WINDOW = 40


@dataclass(frozen=True)
class SchedulerSettings:
    """Its defaults suit a target of any size.

    Attributes:
        most_waiting: feeds that may wait; of more, the newest of the tenant that has most are refused. Enough for
            every session of a busy server to have one, few enough to be served within seconds.
        pass_tokens: most tokens of short feeds in one pass: by then it uses the device well, and more would only make
            all of them wait.
        chunk: feeds of more tokens are long: a pass reads so many tokens of them; None for what the engine says, and
            then a device's window of shown tokens with what it asks (`WINDOW`) is never long.
        calm: seconds without a short feed after which long ones are read in whole chunks again, not in halves.
        dead_after: so many passes in a row that fail for everybody mean that the device is lost: no later one would be
            better.
    """

    most_waiting: int = 1024
    pass_tokens: int = 512
    chunk: int | None = None
    calm: float = 0.25
    dead_after: int = 3
