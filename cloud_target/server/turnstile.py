"""How many strangers may be at something at once: what costs memory, and is done before anybody says who they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import TargetBusy

# After which a place may be free again, seconds.
SOON = 1.0


class Turnstile:
    """Lets so many through at once, and of one connection so few that it takes many to keep others out.

    Args:
        most: in all.
        each: of one connection.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._inside: Counter[str] = Counter()

    @contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """A place for as long as the block lasts.

        Args:
            peer: the connection, as gRPC names it.

        Raises:
            TargetBusy: there is none.
        """
        if self._inside.total() >= self._most or self._inside[peer] >= self._each:
            raise TargetBusy("others ask for this now; try again in a moment", SOON)
        self._inside[peer] += 1
        try:
            yield
        finally:
            self._inside[peer] -= 1
            self._inside += Counter()  # which forgets those with none
