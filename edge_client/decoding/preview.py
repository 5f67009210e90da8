"""Tokens on the screen before they are certain: provisional ones, taken back where the text goes another way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_client.decoding.text import Origin, Retract, Text, Token


class Preview:
    """The provisional tokens behind a text.

    The text itself does not change: its decoder and its stop strings go on by themselves, in a copy.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._fork: Text | None = None
        self._line: list[Token] = []

    def follow(self, ids: Iterable[int]) -> Iterator[Token | Retract]:
        """Let the provisional tokens be `ids`, as far as the text would not have ended before."""
        wanted = list(ids)
        same = next((i for i, token in enumerate(self._line) if wanted[i : i + 1] != [token.id]), len(self._line))
        yield from self.take_back(same)
        if self._fork is None:
            self._fork = self._text.fork()
            for token in self._line:
                self._fork.show(token.id, Origin.DRAFTED)
        for id_ in wanted[same:]:
            if self._fork.finished:
                break
            self._line.append(self._fork.show(id_, Origin.DRAFTED))
            yield self._line[-1]

    def settle(self, token: Token) -> Iterator[Token | Retract]:
        """A token of the text: it is on the screen if it is the first provisional one; if not, those are in vain."""
        if self._line and self._line[0].id == token.id:
            del self._line[0]
        else:
            yield from self.take_back()
            yield token

    def take_back(self, keep: int = 0) -> Iterator[Retract]:
        """Take all provisional tokens back but the first `keep`."""
        fallen = self._line[keep:]
        if fallen:
            self._fork = None
            del self._line[keep:]
            yield Retract(len(fallen), "".join(token.text for token in fallen))
        elif not self._line:
            self._fork = None
