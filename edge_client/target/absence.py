"""A target that is away: tried now and then, without waiting, until it answers again."""

from __future__ import annotations

from edge_client.target.reliable_link import ReliableLink
from edge_client.target.retry import PASSING, Patience
from shared.errors import LinkBroken
from shared.wire.v1 import target_pb2 as wire

# Seconds. Pauses between tries double from the first to the longest: whoever is offline for hours pays little for it.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
# How long a try may take: several round trips to connect over a slow link, and a lost packet.
TRY = 5.0
# While a try is under way, it is looked after no more often.
GLANCE = 0.01
# How long whoever has nothing to do sleeps between two looks.
NAP = 0.03


class Absence:
    """One absence, of which the reader has been told.

    Args:
        link: the way to the target.
        request: one that every target answers at once.
        patience: how long it is worth trying.
        may_return: whether there is any hope.
    """

    def __init__(
        self, link: ReliableLink, request: wire.DecodeRequest, patience: Patience, may_return: bool = True
    ) -> None:
        self._link, self._request, self._patience, self._may_return = link, request, patience, may_return
        self._clock = patience.clock
        self._number: int | None = None
        self._pause = FIRST_PAUSE
        self._due = self._clock.now() + self._pause
        self._given_up_at = 0.0

    @property
    def is_for_good(self) -> bool:
        """Whether there is none, or it has lasted for longer than anybody waits for a target."""
        return not self._may_return or self._patience.left <= 0

    def is_over(self) -> bool:
        """Whether the target answers again. Never waits, and costs next to nothing where no try is due.

        Raises:
            TargetRefused, ProtocolError: there is an answer, and it is none that one could go on from.
        """
        now = self._clock.now()
        if now < self._due or not self._may_return:
            return False
        try:
            if self._number is None:
                self._given_up_at = now + TRY
                self._number = self._link.post(self._request)
            if self._link.collect(self._number) is not None:
                self._link.answered(self._patience)
                return True
            if now >= self._given_up_at:
                raise LinkBroken("no answer in time")
            self._due = now + GLANCE
        except PASSING:
            self._link.hang_up()
            self._number = None
            self._due = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return False

    def nap(self) -> None:
        """Let a moment pass."""
        self._clock.sleep(NAP)
