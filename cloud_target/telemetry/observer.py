"""What the service tells whoever watches it: counts and times, never text, token ids or session ids."""

from __future__ import annotations


class Observer:
    """Hears of everything that happens, and does nothing about it; metrics are a subclass. Called from any thread."""

    def listens(self, port: int, most: int) -> None:
        """The server is there on this port, for so many connections at once."""

    def watched(self, limit: float) -> None:
        """A forward pass that takes longer than so many seconds is taken to hang."""

    def hung(self) -> None:
        """One did, and the process ends."""

    def room_wanted(self) -> None:
        """A request begins to wait for its session, and for room in the cache."""

    def room_waited(self, seconds: float) -> None:
        """It has both after so long, or has given up."""

    def began(self, kept: int, read: int) -> None:
        """A text came from its beginning on: of so many of its tokens the cache had kept what was read before, and so
        many are to be read."""

    def queued(self, feeds: int) -> None:
        """So many feeds wait for the device now."""

    def passing(self) -> None:
        """A forward pass begins."""

    def passed(self, feeds: int, tokens: int, seconds: float) -> None:
        """One forward pass is over: how many feeds and tokens were in it, and how long it took."""

    def waited(self, seconds: float) -> None:
        """One feed waited so long for its pass."""

    def kept(self, sessions: int, used: int, budget: int) -> None:
        """So many sessions have a cache now; bytes of it in use, and bytes there may be."""

    def evicted(self, sessions: int) -> None:
        """So many idle sessions lost their cache to others."""

    def first_verdict(self, seconds: float) -> None:
        """The first verdict of a stream is about to be sent, so long after the request came that it answers."""

    def answered(self, tenant: str, kind: str, read: int, written: int, seconds: float) -> None:
        """One request was answered.

        Args:
            tenant: who asked; "" where nobody has to say.
            kind: of answer: "verdict", "continuation", "stale" or "resync".
            read, written: tokens that came with it, and that the target wrote.
            seconds: from its arrival to its last answer.
        """

    def guessed(self, tenant: str, judged: int, stood: int) -> None:
        """While one request was answered, so many guesses were judged, and so many of them saved a pass each."""

    def sent(self, tenant: str, count: int) -> None:
        """So many bytes of the bundle were sent to an edge."""

    def refused(self, tenant: str, reason: str) -> None:
        """A call ended with an error; its machine-readable reason (shared/errors.py)."""

    def streams(self, tenant: str, change: int) -> None:
        """A Decode stream was opened (1) or has ended (-1)."""


NOBODY = Observer()
_EVENTS = [name for name in vars(Observer) if not name.startswith("_")]


def together(*observers: Observer) -> Observer:
    """One observer that passes every event on to all of these that listen for it."""
    if len(observers) < 2:
        return observers[0] if observers else NOBODY
    several = Observer()
    for event in _EVENTS:
        listeners = [getattr(one, event) for one in observers if getattr(type(one), event) is not vars(Observer)[event]]
        if len(listeners) == 1:
            setattr(several, event, listeners[0])
        elif listeners:
            setattr(several, event, _all(listeners))
    return several


def _all(listeners: list):
    def tell(*values: object, **named: object) -> None:
        for listener in listeners:
            listener(*values, **named)

    return tell
