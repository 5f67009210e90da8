"""What the reader of a text is told while the target does not answer, and how often the link to it was mended."""

from __future__ import annotations

import math
from collections.abc import Callable

from edge_client.target.retry import Clock, Patience
from shared.errors import TargetBusy, TargetUnavailable

# Seconds. A link that breaks and mends at once is nobody's business; a slow target is no broken link.
DOWN_AFTER = 0.5
SILENT_AFTER = 1.5


def tell_nobody(_: str) -> None:
    """For whoever does not want to know."""


class Presence:
    """What all texts know of one target's being there.

    Attributes:
        is_away: the last that was heard of it is that it is away.
    """

    is_away = False


class Outage:
    """Watches one text's link.

    Args:
        presence: is kept up to date.
        notify: is told, a sentence each time; called by the thread that waits.
    """

    def __init__(self, clock: Clock, notify: Callable[[str], None], presence: Presence | None = None) -> None:
        self._clock = clock
        self._presence = presence or Presence()
        self._notify = notify
        self._since: float | None = None
        self._told_of_trouble = False
        self._told_of_silence = False
        self._awaited = False  # told of trouble or silence, and not yet of its end

    def failed(self, error: TargetUnavailable, patience: Patience) -> None:
        """An attempt failed, and there will be another."""
        now = self._clock.now()
        if self._since is None:
            self._since = now
        if self._told_of_trouble or now - self._since < DOWN_AFTER or not patience.tells:
            return
        if math.isfinite(patience.grace):  # all that there is of it has passed soon, and then there is more to tell
            return
        self._told_of_trouble = self._awaited = True
        trouble = (
            f"has no room for {patience.what}" if isinstance(error, TargetBusy) else "is not reached: the link is down"
        )
        self._notify(f"the target at {patience.address} {trouble} ({error}); trying again {_for_how_long(patience)}")

    def begins(self, sentence: str) -> None:
        """Nobody waits for the target any more, for what the sentence says."""
        self._since = self._clock.now() if self._since is None else self._since
        self._presence.is_away = True
        self._told_of_trouble = self._awaited = True
        self._notify(sentence)

    def silence_is_news(self, since: float, patience: Patience) -> float:
        """Seconds until it is time to tell of a silence that began at `since`; endless where that was done."""
        if self._told_of_silence or self._told_of_trouble or not patience.tells:
            return float("inf")
        return since + SILENT_AFTER - self._clock.now()

    def silent(self, patience: Patience) -> None:
        """Nothing came, and nothing failed: tell of it, once a text, for some targets are just slow."""
        self._told_of_silence = self._awaited = True
        self._notify(
            f"the target at {patience.address} has not answered for a while; waiting {_for_how_long(patience)}"
        )

    def tell(self, note: str | None) -> None:
        """Tell of what is no outage, if there is anything to tell."""
        if note is not None:
            self._notify(note)

    def answered(self, patience: Patience) -> bool:
        """An answer came; returns whether that ended an outage."""
        was_out = self._since is not None
        self._presence.is_away = False
        if self._awaited:
            self._notify(f"the target at {patience.address} answers again")
        self._since, self._told_of_trouble, self._awaited = None, False, False
        return was_out


def _for_how_long(patience: Patience) -> str:
    seconds = max(math.ceil(patience.left), 1)
    return f"for up to {seconds} second{'s' * (seconds > 1)}"
