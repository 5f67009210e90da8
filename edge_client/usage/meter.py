"""What one text's conversation with the target took, counted as it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Meter:
    """What one generation's conversation with the target took.

    Attributes:
        calls: what the target was made to compute, in forward passes that were answered: one for each verdict, and one
            for each pass in which it wrote on by itself. So a text in mode `cloud` takes a call a token, and one in
            `exact` fewer, where guesses stood.
        bytes_up, bytes_down: payload: the serialised messages of the session (every request, repeated ones too, and
            the final release; every answer), without `bytes_prompt`, and without framing, HTTP headers and TLS.
        bytes_prompt: what the ids of the prompt took of the requests.
        wait_seconds: wall time spent waiting for answers, reconnecting included.
        target_seconds: what the target says it queued and computed, whether anybody waited for it or not.
        steps: what each of `calls` that read no prompt took the target, seconds, the newest.
        trips: of each question, how long it and its answer were on the way, or lay there unread; seconds, the newest.
        quickest_trip: of all questions, seconds: about the round trip of the link; None where none was answered.
        held_seconds: of `wait_seconds`, pauses because the target had no room: it is busy, or a limit is reached.
        reconnects: how often the link broke, or the target had no room, and it went on on a new stream; an outage
            counts once, however often was tried.
    """

    calls: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    bytes_prompt: int = 0
    wait_seconds: float = 0.0
    target_seconds: float = 0.0
    steps: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    trips: deque[float] = field(default_factory=lambda: deque(maxlen=32))
    quickest_trip: float | None = None
    held_seconds: float = 0.0
    reconnects: int = 0

    def passed(self, seconds: float, is_step: bool) -> None:
        """The target has answered: it queued and computed for so long.

        Args:
            is_step: whether it did not read the prompt for that.
        """
        self.target_seconds += seconds
        if is_step:
            self.steps.append(seconds)

    def travelled(self, seconds: float) -> None:
        """A question and its answer were on the way for so long."""
        self.trips.append(seconds)
        self.quickest_trip = seconds if self.quickest_trip is None else min(self.quickest_trip, seconds)

    def sent(self, size: int, prompt: Iterable[int] = ()) -> None:
        """A message of `size` bytes went up; `prompt` are the ids of prompt tokens in it."""
        of_prompt = sum(map(_varint_size, prompt))
        self.bytes_prompt += of_prompt
        self.bytes_up += size - of_prompt

    def received(self, size: int) -> None:
        """A message of `size` bytes came down."""
        self.bytes_down += size


def _varint_size(value: int) -> int:
    return max(1, (value.bit_length() + 6) // 7)
