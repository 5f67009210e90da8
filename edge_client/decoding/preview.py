"""Held tokens on the screen at once, as provisional ones, and taken back where they fall."""

from __future__ import annotations

from edge_client.decoding.text import Origin, Retract, Text, Token


class Preview:
    """What the held tokens of a text would add if they were shown.

    The text itself does not change: its decoder and its stop strings go on by themselves, in a copy.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._fork: Text | None = None

    def show(self, token: int) -> Token | None:
        """A held token as a provisional one; None where the text would have ended before it."""
        if self._fork is None:
            self._fork = self._text.fork()
        return None if self._fork.finished else self._fork.show(token, Origin.DRAFTED)

    def settle(self, stands: int) -> Retract | None:
        """The target has judged: the first `stands` tokens stay, the others are taken back."""
        if self._fork is None:
            return None
        fallen = self._fork.pieces[stands:]
        self._fork = None
        return Retract(len(fallen), "".join(fallen)) if fallen else None
