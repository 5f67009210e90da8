"""What a target is made to do, in the units in which somebody may have to pay for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Amount:
    """Work of a target; whole numbers throughout, so that sums are exact in any order.

    Attributes:
        calls: forward passes that were answered, counted as `Meter.calls`.
        tokens_in: tokens that it was sent to read or to judge, each as often as it was sent.
        tokens_out: tokens that it wrote.
        microseconds: that it says it queued and computed.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    microseconds: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of both kinds."""
        return self.tokens_in + self.tokens_out

    def covers(self, other: Amount) -> bool:
        """Whether nothing of `other` is more than this has."""
        return (
            self.calls >= other.calls
            and self.tokens_in >= other.tokens_in
            and self.tokens_out >= other.tokens_out
            and self.microseconds >= other.microseconds
        )

    def floored(self) -> Amount:
        """The same, with nothing below 0."""
        return Amount(*(max(0, each) for each in (self.calls, self.tokens_in, self.tokens_out, self.microseconds)))

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.microseconds + other.microseconds,
        )

    def __sub__(self, other: Amount) -> Amount:
        return self + -1 * other

    def __rmul__(self, times: int) -> Amount:
        return Amount(times * self.calls, times * self.tokens_in, times * self.tokens_out, times * self.microseconds)

    def __bool__(self) -> bool:
        return self != Amount()
