"""Until when tokens are good: dates as the file has them, and a warning in the log before one is over."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

# How the word of a line begins that says it.
EXPIRES = "expires="
# So long before a token is over the log says so, and again after so long.
AHEAD, AGAIN = timedelta(days=14), timedelta(days=1)
# RFC 3339, which is less than what Python reads.
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)

log = logging.getLogger(__name__)
Clock = Callable[[], datetime]


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def parse_date(text: str) -> datetime:
    """The moment that an RFC 3339 date and time names, such as "2027-01-31T00:00:00Z", in UTC.

    Raises:
        ValueError: it is none.
    """
    if not _DATE.fullmatch(text):
        raise ValueError("no date and time with its distance from UTC")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:  # the first and the last day that there are, elsewhere
        raise ValueError("no date that can be reckoned with") from None


def show_date(moment: datetime) -> str:
    """A moment as people read it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


class Expiring:
    """Warns of tokens that are over soon, or are over already, once a day each time it is asked.

    Args:
        clock: tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: datetime | None = None

    def look(self, tokens: Iterable[tuple[str, datetime | None]], is_news: bool) -> None:
        """See whether there is something to tell.

        Args:
            tokens: of each whose it is, and until when it is good.
            is_news: they have changed.
        """
        at = self._clock()
        if not is_news and self._told is not None and at - self._told < AGAIN:
            return
        self._told = at
        for tenant, expires in tokens:
            if expires is not None and expires - at < AHEAD:
                what = "has been refused since" if expires <= at else "will be refused from"
                then = "remove its line, or make another" if expires <= at else "make another in time"
                log.warning("a token of %s %s %s; %s", tenant, what, show_date(expires), then)
