"""What one tenant may have of the target, and how much of it is in use."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

from shared.errors import InputError, LimitReached

# Whoever used up the tokens of a minute waits until there are some for this many seconds again, not for a single one.
WORTH_WAITING = 1.0
# What to wait for a call or a session of one's own to end, seconds.
SOON = 0.5
HOUR = 3600.0
# The longest number of a limit, which can be reckoned with as a float, too; and what is shown of a word that is none.
_DIGITS, _SHOWN = 15, 40


@dataclass(frozen=True)
class Quota:
    """The most that a tenant may have; None is no limit.

    Attributes:
        sessions: texts whose cache is kept at once; the tenant's own idle ones make room.
        tokens_per_minute: read and written, on average; as many may be used at once.
        context: longest text in tokens.
        calls: open at once.
        bundle_mib_per_hour: of the offered bundle, in MiB, on average; as many may be fetched at once.
    """

    sessions: int | None = None
    tokens_per_minute: int | None = None
    context: int | None = None
    calls: int | None = None
    bundle_mib_per_hour: int | None = None

    def override(self, words: Iterable[str]) -> Quota:
        """This quota, but for what `words` say: "sessions=4", "tokens-per-minute=60000", "calls=none".

        Raises:
            InputError: a word that says nothing of the kind.
        """
        changes: dict[str, int | None] = {}
        for word in words:
            name, _, value = word.partition("=")
            is_number = value.isdecimal() and len(value) <= _DIGITS and int(value) > 0
            if name not in NAMES or name in changes or not (value == "none" or is_number):
                what = word if len(word) <= _SHOWN else f"{word[:_SHOWN]}..."
                raise InputError(f"{what!r} is not a limit; write {limits_in_words()}, each at most once")
            changes[name] = None if value == "none" else int(value)
        return replace(self, **{name.replace("-", "_"): value for name, value in changes.items()})


NAMES = tuple(field.name.replace("_", "-") for field in fields(Quota))


def limits_in_words() -> str:
    """What may be written, for messages."""
    known = ", ".join(f"{name}=N" for name in NAMES)
    return f'{known}, N above 0 with at most {_DIGITS} digits or "none"'


class Bucket:
    """Tokens (or bytes) that flow in at a steady rate, up to one period's worth, and are taken out as they are used.

    More may be taken than there is: a prompt cannot be read by halves. Then nothing is given until the debt is paid.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic, period: float = 60.0) -> None:
        self._clock = clock
        self._rate = most / period
        self._most = self._level = float(most)
        self._seen = clock()

    def take(self, tokens: int) -> None:
        """They were used."""
        self._fill()
        self._level -= tokens

    def wait(self) -> float:
        """Seconds until it is worth asking again; 0 where there is something left."""
        self._fill()
        if self._level > 0:
            return 0.0
        return (min(WORTH_WAITING * self._rate, self._most) - self._level) / self._rate

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._seen) * self._rate)
        self._seen = now


class Usage:
    """One tenant at work. Runs inside one event loop.

    Args:
        tenant: its name.
        forget: drops the cache of a session of the tenant, by the session's id.
    """

    def __init__(
        self,
        tenant: str,
        quota: Quota,
        forget: Callable[[bytes], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tenant = tenant
        self._forget = forget
        self._clock = clock
        self._calls = 0
        self._sessions: OrderedDict[bytes, int] = OrderedDict()  # how many streams are on each; the latest last
        self._bucket: Bucket | None = None
        self._fetched: Bucket | None = None
        self.quota = Quota()
        self.change(quota)

    def change(self, quota: Quota) -> None:
        """The operator wants another quota; what is open stays open."""
        if quota.tokens_per_minute != self.quota.tokens_per_minute:
            per_minute = quota.tokens_per_minute
            self._bucket = None if per_minute is None else Bucket(per_minute, self._clock)
        if quota.bundle_mib_per_hour != self.quota.bundle_mib_per_hour:
            per_hour = quota.bundle_mib_per_hour
            self._fetched = None if per_hour is None else Bucket(per_hour << 20, self._clock, HOUR)
        if quota.sessions is None:  # then only those with streams need be known
            self._sessions = OrderedDict((key, streams) for key, streams in self._sessions.items() if streams)
        self.quota = quota

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call, for as long as the block lasts.

        Raises:
            LimitReached: too many are open.
        """
        if self.quota.calls is not None and self._calls >= self.quota.calls:
            raise LimitReached(f"{self._calls} calls are open, the most for this tenant; try again in a moment", SOON)
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    @contextmanager
    def session(self, session_id: bytes) -> Iterator[None]:
        """A stream of a session, for as long as the block lasts. Its cache may stay afterwards.

        Raises:
            LimitReached: too many sessions have streams.
        """
        if session_id not in self._sessions:
            self._make_room()
        self._sessions[session_id] = self._sessions.get(session_id, 0) + 1
        self._sessions.move_to_end(session_id)
        try:
            yield
        finally:
            self._sessions[session_id] -= 1
            if self.quota.sessions is None:
                self.released(session_id)

    def released(self, session_id: bytes) -> None:
        """The tenant gave a session up."""
        if self._sessions.get(session_id) == 0:
            del self._sessions[session_id]

    def check(self) -> None:
        """Refuse to go on where the tokens of the minute are used up.

        Raises:
            LimitReached: they are.
        """
        if self._bucket is not None and (wait := self._bucket.wait()):
            raise LimitReached(
                f"this tenant's {self.quota.tokens_per_minute} tokens a minute are used up; "
                f"try again in {wait:.1f} seconds",
                wait,
            )

    def spend(self, tokens: int) -> None:
        """So many tokens were read or written."""
        if self._bucket is not None:
            self._bucket.take(tokens)

    def check_bytes(self) -> None:
        """Refuse to send more of the bundle where the hour's share of it is used up.

        Raises:
            LimitReached: it is.
        """
        if self._fetched is not None and (wait := self._fetched.wait()):
            raise LimitReached(
                f"this tenant has fetched the {self.quota.bundle_mib_per_hour} MiB of an hour; "
                f"try again in {wait:.0f} seconds",
                wait,
            )

    def spend_bytes(self, count: int) -> None:
        """So many bytes of the bundle were sent."""
        if self._fetched is not None:
            self._fetched.take(count)

    def _make_room(self) -> None:
        most = self.quota.sessions
        while most is not None and len(self._sessions) >= most:
            idle = next((session_id for session_id, streams in self._sessions.items() if not streams), None)
            if idle is None:
                count = len(self._sessions)
                raise LimitReached(f"{count} texts are being written, the most for this tenant; try again soon", SOON)
            del self._sessions[idle]
            self._forget(idle)
