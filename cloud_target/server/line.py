"""Calls that wait for turns, which their connections take in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Every step takes the same time, however many wait: a stranger's call costs no more because there are others."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, deque[T]] = OrderedDict()  # by connection, the next one first
        self._of_length: dict[int, dict[str, None]] = {}  # connections by how many calls of them wait
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def __contains__(self, peer: str) -> bool:
        return peer in self._calls

    def join(self, peer: str, call: T) -> None:
        """Wait, behind the other calls of the same connection, and behind all other connections if it has none."""
        self._change(peer, 1)
        self._calls.setdefault(peer, deque()).append(call)

    def take(self) -> tuple[str, T]:
        """The next call and its connection, whose others wait behind everybody now.

        Raises:
            IndexError: nobody waits.
        """
        if not self._calls:
            raise IndexError("nobody waits")
        peer = next(iter(self._calls))
        self._change(peer, -1)
        call = self._calls[peer].popleft()
        self._calls.move_to_end(peer)
        self._forget_if_empty(peer)
        return peer, call

    def drop_of_most(self, but: str) -> str | None:
        """Drop the last call of a connection that has most of them, if that is two more than another one has.

        Args:
            but: the other one, for which room is made.

        Returns:
            Whose call that was; None if none was dropped.
        """
        most = max(self._of_length, default=0)
        if most <= len(self._calls.get(but, ())) + 1:
            return None
        peer = next(iter(self._of_length[most]))
        self._change(peer, -1)
        self._calls[peer].pop()
        self._forget_if_empty(peer)
        return peer

    def drop_all(self, peer: str) -> int:
        """Drop all calls of a connection; how many those were."""
        count = len(self._calls.get(peer, ()))
        self._change(peer, -count)
        self._calls.pop(peer, None)
        return count

    def clear(self) -> None:
        """Drop all."""
        self._calls.clear()
        self._of_length.clear()
        self._waiting = 0

    def _forget_if_empty(self, peer: str) -> None:
        if not self._calls[peer]:
            del self._calls[peer]

    def _change(self, peer: str, by: int) -> None:
        """So many more of this connection are about to wait."""
        before = len(self._calls.get(peer, ()))
        for length, is_left in ((before, True), (before + by, False)):
            if length and is_left:
                del self._of_length[length][peer]
                if not self._of_length[length]:
                    del self._of_length[length]
            elif length:
                self._of_length.setdefault(length, {})[peer] = None
        self._waiting += by
