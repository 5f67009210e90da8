"""How far the target has read a long text, checked, and as its reader is told of it."""

from __future__ import annotations

import math
from collections import deque

from edge_client.target.retry import Clock, Retry
from edge_client.target.verdict import nonsense
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

# Seconds. What is read in less is nobody's business; of what takes longer one is told now and then.
TOLD_AFTER = 2.0
TOLD_EVERY = 10.0
# The target says how far it is so many times within the patience of an attempt: a word that comes late is not its end.
WITHIN = 4
# Requests that may be told of at a time; edges have fewer under way.
MOST_UNDER_WAY = 256


class ReadingNote(str):
    """A sentence about how far the target has read; the next one takes its place."""


class GivenUp(BaseException):
    """Nobody wants the text any more that the target reads. No error: it ends what waits, up to the text's writer."""


def interval(retry: Retry) -> float:
    """Seconds between two words of the target about what it reads, for an edge of such patience."""
    return max(min(codec.MOST_READING, retry.attempt / WITHIN, retry.total / WITHIN), codec.LEAST_READING)


class Reading:
    """What the target reads for one text, request by request.

    Args:
        clock: by which the time that is left is estimated.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: deque[tuple[int, int]] = deque(
            maxlen=MOST_UNDER_WAY
        )  # number of each request under way, and where its text ends
        self._number = 0  # of the request that the rest is about
        self._read = self._of = 0
        self._first: tuple[float, int] = 0.0, 0  # when the first word came, and how much was read then
        self._who = ""
        self._begun: float | None = None  # when the wait began, of which there was a word
        self._due = math.inf  # when the reader is told next

    def asks(self, number: int, end: int) -> None:
        """A request goes out, whose text ends there."""
        if number == 1:
            self._asked.clear()
            self._number = 0
        self._asked.append((number, end))

    def hears(self, number: int, message: wire.Reading) -> bool:
        """The target tells of a request; returns whether it has got on.

        Raises:
            ProtocolError: it cannot be as it says.
        """
        while self._asked and self._asked[0][0] < number:
            self._asked.popleft()
        of = self._asked[0][1] if self._asked and self._asked[0][0] == number else 0
        if not 0 <= message.read <= of == message.of:
            raise nonsense(f"that {message.read} of {message.of} tokens are read, where {of} were to be")
        if number != self._number:
            self._number, self._read, self._of = number, message.read, of
            self._first = self._clock.now(), message.read
            return False  # or a link that breaks again and again would be progress
        if message.read < self._read:
            raise nonsense(f"that {message.read} tokens are read, after {self._read} of them were")
        gets_on, self._read = message.read > self._read, message.read
        return gets_on

    def news(self, since: float, address: str) -> ReadingNote | None:
        """What its reader is to be told now, if anything.

        Args:
            since: when the wait for the answer began, seconds.
            address: of the target.
        """
        now = self._clock.now()
        if self._begun is None:
            self._begun, self._due, self._who = since, since + TOLD_AFTER, f"the target at {address}"
        if now < self._due:
            return None
        self._due = now + TOLD_EVERY
        return ReadingNote(f"{self._who} has read {self._read:,} of {self._of:,} tokens{self._left(now)}")

    def ends(self) -> ReadingNote | None:
        """The answer is here: the last word, where there was another one."""
        begun, due, self._begun, self._due = self._begun, self._due, None, math.inf
        if begun is None or due <= begun + TOLD_AFTER:
            return None
        return ReadingNote(f"{self._who} has read all of {self._of:,} tokens, in {about(self._clock.now() - begun)}")

    def _left(self, now: float) -> str:
        begun, before = self._first
        if now <= begun or not before < self._read < self._of:
            return ""
        return f", about {about((self._of - self._read) * (now - begun) / (self._read - before))} left"


def about(seconds: float) -> str:
    """A time for people, with as many digits as an estimate deserves."""
    if seconds < 90:
        return f"{max(round(seconds), 1) if seconds < 20 else 5 * round(seconds / 5)} s"
    return f"{round(seconds / 60)} minutes"
