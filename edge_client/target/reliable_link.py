"""A link that mends itself: requests are repeated on a new stream until one is answered."""

from __future__ import annotations

from collections.abc import Callable

from edge_client.target.author import Author
from edge_client.target.outage import Outage
from edge_client.target.reading import GivenUp, Reading
from edge_client.target.retry import PASSING, Clock, Patience
from edge_client.target.transport import Link, Transport
from edge_client.target.verdict import nonsense
from edge_client.usage.account import Account
from edge_client.usage.meter import Meter
from shared.errors import CapReached, LinkBroken, OtherTarget, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire


class ReliableLink:
    """The way from one session to the target. All requests may be repeated, so all failures of a link are mended.

    Args:
        header: what the first request of each stream carries, but for who is to write the text.
        prompt_length: the first tokens of the text, which the meter counts apart.
        meter: told of bytes, seconds and reconnects.
        outage: told of failures, and of their end.
        account: of the text; asked before a request goes out.
        author: who is to write it; asked before a stream is opened.
        is_known: the target has the session already.
        is_wanted: whether anybody still wants the text; looked at while the target reads.

    Attributes:
        author: as given.
        streams: how many were opened.
        names_guesses: whether guesses on the last one may name those before them; found by whoever reads the answers.
    """

    def __init__(
        self,
        transport: Transport,
        header: wire.Session,
        prompt_length: int,
        meter: Meter,
        clock: Clock,
        outage: Outage,
        account: Account,
        author: Author,
        is_known: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._transport = transport
        self._header = header
        self._prompt_length = prompt_length
        self._meter = meter
        self._clock = clock
        self._outage = outage
        self._reading = Reading(clock)
        self._is_wanted = is_wanted
        self._account = account
        self.author = author
        self._end_ids = frozenset(header.sampling.end_ids)
        self._link: Link | None = None
        self._request_id = 0
        self._used = is_known
        self.streams = 0
        self.names_guesses = False

    @property
    def number(self) -> int:
        """Of the last request."""
        return self._request_id

    def ask(self, request: wire.DecodeRequest, patience: Patience) -> wire.DecodeResponse:
        """Send a request and wait for its (first) answer.

        Raises:
            TargetAway: no answer, and the patience is used up.
            TargetRefused: the target refuses the request.
            ProtocolError: the answer belongs to no request.
            CapReached: it may not be sent.
            GivenUp: nobody wants the text any more.
        """
        begin = self._clock.now()
        try:
            while True:
                try:
                    self._send(request)
                    return self._receive(patience)
                except PASSING as error:
                    self.mend(error, patience)
        except BaseException as error:
            self.hang_up(error)
            raise
        finally:
            self._meter.wait_seconds += self._clock.now() - begin

    def post(self, request: wire.DecodeRequest) -> int:
        """Send a request, and don't wait; returns its number, by which `collect` knows its answer.

        Raises:
            CapReached: it may not be sent; what is under way is still answered.
            TargetUnavailable: the link broke; `mend` it.
        """
        try:
            self._send(request)
        except CapReached:
            raise
        except BaseException as error:
            self.hang_up(error)
            raise
        return self._request_id

    def collect(self, number: int, patience: Patience | None = None) -> wire.DecodeResponse | None:
        """The next answer to a request, in the order in which they were sent.

        Args:
            patience: to wait for it; without any, None is returned where it has not come yet.

        Raises:
            TargetUnavailable: the link broke; `mend` it.
            TargetRefused, ProtocolError: as `ask` does.
        """
        begin = self._clock.now()
        try:
            return self._arrived(number) if patience is None else self._receive(patience, number)
        except BaseException as error:
            self.hang_up(error)
            raise
        finally:
            if patience is not None:
                self._meter.wait_seconds += self._clock.now() - begin

    def mend(self, error: TargetUnavailable, patience: Patience) -> None:
        """After a failure: a pause, and the next request opens another stream.

        Raises:
            TargetAway: the patience is used up.
        """
        self.hang_up(error)
        self._outage.failed(error, patience)
        self._meter.held_seconds += patience.after(error)

    def leave_off(self, sentence: str) -> None:
        """Nobody waits for the target any more, which the reader is told in a sentence."""
        self.hang_up()
        self._outage.begins(sentence)

    def answered(self, patience: Patience) -> None:
        """The target answers, maybe again: what is to be told and counted then."""
        self._meter.reconnects += self._outage.answered(patience)

    def hang_up(self, error: BaseException | None = None) -> None:
        """Give the stream up, perhaps after an error; the next request opens another."""
        if self._link is not None:
            self._link.close()
            self._link = None
            self._account.ended(error)

    def leave(self) -> None:
        """Give the stream up, and leave the session's cache to others."""
        self.hang_up()
        self._used = False

    def close(self) -> None:
        """Give the stream and the session's cache up. Never raises, never blocks; twice is once."""
        self.hang_up()
        if self._used:
            self._used = False
            self._transport.release(self._header.session_id)

    def _send(self, request: wire.DecodeRequest) -> None:
        request.ClearField("session")
        if self._link is None:
            self._header.target = self.author.named()
        if not request.HasField("guesses"):
            self._account.ask(1 if self._link is None else self._request_id + 1, request)
        link = self._link
        if link is None:
            link = self._link = self._transport.open()
            self.streams += 1
            self.names_guesses = False
            self._request_id = 0
            request.session.CopyFrom(self._header)
        if not self._used:
            self._used = True
            self._meter.sent(wire.ReleaseRequest(session_id=self._header.session_id).ByteSize())
        self._request_id += 1
        request.request_id = self._request_id
        if not request.HasField("guesses"):
            self._reading.asks(self._request_id, request.position + len(request.tokens))
        prompt = request.tokens[: max(0, self._prompt_length - request.position)]
        self._meter.sent(request.ByteSize(), prompt)
        link.send(request)

    def _receive(self, patience: Patience, number: int | None = None) -> wire.DecodeResponse:
        """Wait for the answer to a request, by default the last."""
        number = self._request_id if number is None else number
        asked = begin = self._clock.now()
        timeout = patience.attempt()
        while True:
            left = begin + timeout - self._clock.now()
            until_news = self._outage.silence_is_news(begin, patience)
            answer = self._next(min(left, until_news), number)
            if answer is not None:
                self.answered(patience)
                if not answer.HasField("reading"):
                    return answer
                self._reads(answer, asked, patience)
                begin, timeout = self._clock.now(), patience.attempt()
            elif until_news >= left:
                heard = "" if begin == asked else ", and no progress with reading the text"
                raise LinkBroken(f"no answer within {timeout:.1f} seconds{heard}")
            else:
                self._outage.silent(patience)

    def _reads(self, word: wire.DecodeResponse, asked: float, patience: Patience) -> None:
        """The target, asked at a time, is at it: this is an attempt that goes on, and progress where it gets on."""
        gets_on = self._reading.hears(word.request_id, word.reading)
        if not patience.tells:
            return
        if not self._is_wanted():
            raise GivenUp
        if gets_on:
            patience.renew()
        self._outage.tell(self._reading.news(asked, patience.address))

    def _arrived(self, number: int) -> wire.DecodeResponse | None:
        """The answer to a request, if it is there."""
        while (answer := self._next(0.0, number)) is not None and answer.HasField("reading"):
            self._reading.hears(answer.request_id, answer.reading)
        return answer

    def _next(self, timeout: float, number: int) -> wire.DecodeResponse | None:
        """The answer to a request, or a word about it, if one comes within `timeout` seconds."""
        end = self._clock.now() + timeout
        while True:
            if self._link is None:
                raise LinkBroken("the stream was given up")
            try:
                answer = self._link.receive(max(end - self._clock.now(), 0.0) if timeout else 0.0)
            except OtherTarget as refusal:
                self.hang_up(refusal)
                raise self.author.refused(refusal) from refusal
            if answer is None:
                return None
            self.author.answered()
            self._meter.received(answer.ByteSize())
            self._account.answered(answer, self._end_ids)
            if answer.request_id == number:
                if not answer.HasField("reading"):
                    self._outage.tell(self._reading.ends())
                return answer
            # Lower numbers are what is left of an answer that nobody reads any more.
            if answer.request_id > number or not answer.request_id:
                raise nonsense(f"an answer to request {answer.request_id} where one to request {number} was due")
