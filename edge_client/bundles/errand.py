"""A bundle that is brought while texts go on with another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

from edge_client.bundles.bundle import Bundle
from edge_client.bundles.fetching import Progress
from shared.contents import Contents
from shared.sizes import show_size

# Whoever closes an edge waits so long, seconds, for what it was doing beside the texts.
LAST = 2.0
# Seconds from a failure to the next try; doubles with each further one.
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
# Seconds until it is told how far one has come, and between two such words.
PATIENCE, BETWEEN = 10.0, 30.0


class Errand:
    """One bundle, brought by a thread that ends with the program.

    Args:
        digest: of the bundle.
        bring: fetches and loads it; calls what it is given again and again, which raises `CancelledError` where it is
            to stop. What it has fetched by then is gone on with the next time.

    Attributes:
        bundle: once it is there.
        error: why it did not come.
    """

    def __init__(self, digest: str, bring: Callable[[Callable[[], None]], Bundle]) -> None:
        self.digest = digest
        self.bundle: Bundle | None = None
        self.error: Exception | None = None
        self._bring = bring
        self._is_wanted = True
        self._thread = threading.Thread(target=self._run, name="tandem-bundle", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it is there, or does not come."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Bring it no more; returns at once."""
        self._is_wanted = False

    def wait(self, seconds: float = LAST) -> None:
        """Wait until it is over, but no longer."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self.bundle = self._bring(self._see_that_it_is_wanted)
        except Exception as error:  # whoever sent for it says what it was
            self.error = error

    def _see_that_it_is_wanted(self) -> None:
        if not self._is_wanted:
            raise CancelledError


class Failures:
    """Of bundles that did not come: each is told of once, and tried again later and later.

    Args:
        now: seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._digest = ""
        self._count = 0
        self._until = 0.0

    def add(self, digest: str) -> bool:
        """One did not come; returns whether that is news."""
        if digest != self._digest:
            self._digest, self._count = digest, 0
        self._until = self._now() + min(FIRST_PAUSE * 2**self._count, LONGEST_PAUSE)
        self._count += 1
        return self._count == 1

    def is_first(self, digest: str) -> bool:
        """Whether it was never tried in vain."""
        return digest != self._digest

    def is_due(self, digest: str) -> bool:
        """Whether it may be tried, for the first time or again."""
        return self.is_first(digest) or self._now() >= self._until


def now_and_then(notify: Callable[[str], None], now: Callable[[], float]) -> Progress:
    """Tells how far a bundle has come, in a sentence, so seldom that it is in nobody's way."""
    due = now() + PATIENCE

    def progress(contents: Contents, done: int) -> None:
        nonlocal due
        if now() >= due and done < contents.size:
            due = now() + BETWEEN
            notify(f"{show_size(done)} of the {show_size(contents.size)} of the bundle {contents.name} have come")

    return progress
