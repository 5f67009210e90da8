"""What one request took: told to the tenant's quota while it is answered, and to the observer at its end."""

from __future__ import annotations

from time import perf_counter

from cloud_target.access.quotas import Usage
from cloud_target.engine.interface import Feed
from cloud_target.protocol.requests import Request
from cloud_target.telemetry.observer import Observer
from shared.wire.v1 import target_pb2 as wire


class Tally:
    """Counts the answers to one request; a context manager.

    Args:
        arrived: when it came, `perf_counter` seconds.
        is_first: no request of its stream had a verdict before.

    Attributes:
        has_verdict: this one had one.
        kind: of its last answer, "" before the first.
        written: tokens of the target's own in its answers.
    """

    def __init__(
        self, request: Request, usage: Usage, observer: Observer, arrived: float, is_first: bool = False
    ) -> None:
        self._request = request
        self._usage = usage
        self._observer = observer
        self._arrived = arrived
        self._is_first = is_first
        self.has_verdict = False
        self.kind, self.written = "", 0
        self._judged = self._stood = 0
        self._has_begun = False

    def begun(self, feed: Feed) -> None:
        """The device begins with a feed: it costs its tokens now, whether or not anybody waits for the answer.

        What the slot held already of the request's tokens costs as if it were read. So do those of an earlier request
        that was given up before it was read: this one reads them. Guesses cost nothing until they stand, so that a
        text costs the same with them as without.
        """
        read = feed.needed if self._has_begun else max(feed.needed, len(self._request.tokens))
        self._has_begun = True
        self._usage.spend(read)

    def judged(self, guesses: int) -> None:
        """A pass in which the target wrote on has judged so many guesses."""
        self._judged += guesses

    def count(self, answer: wire.DecodeResponse) -> None:
        """This is about to be sent. Answers that took no work (stale, resync) cost the tenant nothing."""
        self.kind = answer.WhichOneof("answer")
        if self.kind == "verdict":
            self.has_verdict = True
            if self._is_first:
                self._observer.first_verdict(perf_counter() - self._arrived)
            written = int(answer.verdict.HasField("token"))
            # What an earlier pass has read ahead costs as if it were read now.
            self._usage.spend(written if self._has_begun else written + len(self._request.tokens))
        else:
            written = len(answer.continuation.tokens)
            more = max(written - 1, 0)  # the first was paid for as it was begun: a feed of one token
            self._usage.spend(more)
            self._stood += more
        self.written += written

    def check(self) -> None:
        """See that the tenant may have more.

        Raises:
            LimitReached: the tokens of the minute are used up.
        """
        self._usage.check()

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *_: object) -> None:
        if self.kind:
            seconds = perf_counter() - self._arrived
            read = len(self._request.tokens)
            self._observer.answered(self._usage.tenant, self.kind, read, self.written, seconds)
            if self._judged:
                self._observer.guessed(self._usage.tenant, self._judged, self._stood)
