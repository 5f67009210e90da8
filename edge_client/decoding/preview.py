"""Tokens on the screen before they are certain: provisional ones, taken back where the text goes another way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

from edge_client.decoding.text import Event, Origin, Provisional, Retract, Text

# Seconds. While there is something else to do, provisional tokens are looked after no more often: no eye is quicker.
PACE = 1 / 60


class Preview:
    """The provisional tokens behind a text.

    The text itself does not change: its decoder and its stop strings go on by themselves, in a copy.

    Args:
        clock: seconds.
    """

    def __init__(self, text: Text, clock: Callable[[], float] = perf_counter) -> None:
        self._text = text
        self._clock = clock
        self._due = clock()
        self._fork: Text | None = None
        self._line: list[Provisional] = []

    def follow(self, ids: Iterable[int], waits: bool = True) -> Iterator[Event]:
        """Let the provisional tokens be `ids`, as far as the text would not have ended before.

        Args:
            waits: whether there is nothing else to do now; if there is, it may stay undone until the next time.
        """
        now = self._clock()
        if not waits and now < self._due:
            return
        self._due = now + PACE
        wanted = list(ids)
        same = next((i for i, token in enumerate(self._line) if wanted[i : i + 1] != [token.id]), len(self._line))
        yield from self.take_back(same)
        if self._fork is None:
            self._fork = self._text.fork()
            for token in self._line:
                self._fork.show(token.id, Origin.ACCEPTED)
        for id_ in wanted[same:]:
            if self._fork.finished:
                break
            token = Provisional(id_, self._fork.show(id_, Origin.ACCEPTED).text)
            self._line.append(token)
            yield token

    def settle(self, token: int, origin: Origin, doubt: float | None = None) -> Iterator[Event]:
        """Show a token, in the place of the first provisional one; where that is another, all are in vain."""
        if self._line and self._line[0].id == token:
            del self._line[0]
        else:
            yield from self.take_back()
            if self._text.finished:  # given up meanwhile
                return
        yield self._text.show(token, origin, doubt)

    def take_back(self, keep: int = 0) -> Iterator[Retract]:
        """Take all provisional tokens back but the first `keep`."""
        fallen = self._line[keep:]
        if fallen:
            self._fork = None
            del self._line[keep:]
            yield Retract(len(fallen), "".join(token.text for token in fallen))
        elif not self._line:
            self._fork = None
