"""The target, as the edge sees it: who it is, and sessions in which it is asked about one text each."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import partial
from threading import Thread

from edge_client.target.author import Author
from edge_client.target.credentials import Credentials
from edge_client.target.description import Description
from edge_client.target.fetching import chunks
from edge_client.target.kept_sessions import Kept, KeptSessions
from edge_client.target.outage import Outage, Presence, tell_nobody
from edge_client.target.reading import interval
from edge_client.target.reliable_link import ReliableLink
from edge_client.target.retry import PASSING, Clock, Patience, Retry, SystemClock
from edge_client.target.session import TargetSession
from edge_client.target.switch import Switch
from edge_client.target.transport import Transport
from edge_client.target.verdict import Reader
from edge_client.usage.account import Account
from edge_client.usage.meter import Meter
from shared.config import Coupling, Sampling
from shared.contents import BundleFile
from shared.errors import TandemError, TargetUnavailable
from shared.grammar import library
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire

# A target that cannot be reached at all is more likely a wrong address than a restart: do not wait long.
CONNECT = Retry(attempt=3.0, total=3.0)
# Round trips until a target is described: two to connect, over TCP and then HTTP/2, and one to ask.
CONNECTING = 3.0
# How long an answer to a question that only measures the way may take, seconds.
PING = 5.0


class TargetClient:
    """A connection to one target; a context manager.

    Args:
        transport: reaches the target; closed by `close`.
        address: for messages.
        retry: the patience of sessions.
        clock, chance: time, and the randomness of pauses.
        timeout: how long a target that cannot be reached is looked for, seconds; None for `CONNECT`'s.
        notify: is told, in a sentence, where that takes long.
        kept: of so many finished texts the target is let keep its cache, for prompts that go on from one.
        holds_on: look for a target that does not answer all of that time; otherwise only for the `grace` of `retry`,
            unless nothing at all comes back.

    Attributes:
        description: what is served.
        adapter: with which; "" for none.
        round_trip: of the link, as far as connecting to it tells, seconds.
        is_doubted: a text has met another target than that.

    Raises:
        TargetUnavailable: no target there.
        TargetRefused: something else is there.
    """

    def __init__(
        self,
        transport: Transport,
        address: str,
        retry: Retry | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        timeout: float | None = None,
        notify: Callable[[str], None] = tell_nobody,
        kept: int = 0,
        holds_on: bool = True,
    ) -> None:
        self.address, self.adapter, self._origin = address, "", self
        self._kept = KeptSessions(kept, transport.release) if kept else None
        self._transport = transport
        self._retry = retry or Retry()
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()
        self._presence = Presence()
        self.is_doubted = False
        begin = self._clock.now()
        self.description = self.describe(timeout, notify, holds_on)
        self.round_trip = (self._clock.now() - begin) / CONNECTING

    @classmethod
    def connect(
        cls,
        address: str,
        retry: Retry | None = None,
        credentials: Credentials | None = None,
        clock: Clock | None = None,
        timeout: float | None = None,
        notify: Callable[[str], None] = tell_nobody,
        kept: int = 0,
        holds_on: bool = True,
        switch: Switch | None = None,
    ) -> TargetClient:
        """Connect to `address`, "host:port", over gRPC; without encryption and token, unless `credentials` have them.

        Args:
            switch: cuts the link on purpose. Others as for the class.

        Raises:
            InputError: a wrong address, or `credentials` cannot be used.
            TargetUnavailable, TargetRefused: as the class.
        """
        from edge_client.target.grpc_transport import GrpcTransport  # `local` and --help never need it

        transport: Transport = GrpcTransport(address, credentials)
        if switch is not None:
            transport = switch.over(transport)
        try:
            return cls(transport, address, retry, clock, timeout=timeout, notify=notify, kept=kept, holds_on=holds_on)
        except BaseException:
            transport.close()
            raise

    def describe(
        self, timeout: float | None = None, notify: Callable[[str], None] = tell_nobody, holds_on: bool = True
    ) -> Description:
        """Ask the target what it serves; `timeout`, `notify` and `holds_on` as for the class.

        Raises:
            TargetUnavailable, TargetRefused: as the class.
        """
        tells = timeout is not None and timeout > CONNECT.total  # a few seconds end soon, in a sentence
        patience = self._patience(_within(CONNECT, timeout), tells, math.inf if holds_on else self._retry.grace)
        outage = Outage(self._clock, notify)
        while True:
            try:
                found = Description.from_wire(self._transport.describe(patience.attempt()))
                outage.answered(patience)
                return found
            except PASSING as error:
                outage.failed(error, patience)
                patience.after(error)

    def adapted(self, adapter: str) -> TargetClient:
        """The same connection, to the target with one of its adapters; for one text, as it is described now.

        Raises:
            InputError: it has no such adapter.
        """
        found = copy(self)
        found.description, found.adapter = self.description.adapted(adapter, self.address), adapter
        return found

    def look_again(self) -> bool:
        """Ask once more what is served: the target may have been updated. Where it is away just now, nothing changes.

        Returns:
            Whether it is another target than before.

        Raises:
            TargetRefused, ProtocolError: as the class.
        """
        before = self.description
        timeout = self._retry.grace if self._presence.is_away else CONNECT.attempt
        with suppress(TargetUnavailable):
            self.description = Description.from_wire(self._transport.describe(timeout))
            self.is_doubted = False
        return self.description.fingerprint != before.fingerprint

    def fetch(self, digest: str, file: BundleFile, offset: int, notify: Callable[[str], None]) -> Generator[bytes]:
        """The bytes of a file of the offered bundle from `offset` on, in chunks that nobody has checked.

        Args:
            digest: of the whole bundle, hex.
            notify: is told, in a sentence, where that takes long.

        Raises:
            TargetUnavailable, TargetRefused, ProtocolError: see `edge_client.target.fetching`.
        """
        patience = self._patience(self._retry)
        patience.what = "the bundle"
        return chunks(self._transport, digest, file, offset, patience, Outage(self._clock, notify))

    def ping(self, answered: Callable[[float], None]) -> None:
        """Measure the round trip, while others go on.

        Args:
            answered: is told it, seconds, once, by a thread of its own; never, if there is no answer soon.
        """

        def ask() -> None:
            begin = self._clock.now()
            with suppress(TandemError):  # whoever writes will hear of it
                self._transport.describe(PING)
                answered(self._clock.now() - begin)

        Thread(target=ask, name="tandem-ping", daemon=True).start()

    def session(
        self,
        sampling: Sampling,
        coupling: Coupling,
        end_ids: Iterable[int],
        prompt_length: int,
        timeout: float | None = None,
        notify: Callable[[str], None] = tell_nobody,
        prompt: Sequence[int] = (),
        grammar: str | None = None,
        holds_on: bool = True,
        account: Account | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> TargetSession:
        """The conversation about one text. Sends nothing yet.

        Args:
            end_ids: tokens that end the text.
            prompt_length: how many tokens the prompt has; they are not audited.
            timeout: the longest time without any progress, seconds; None for that of `retry`.
            notify: is told, in a sentence, where an answer takes long; by the thread that waits for it.
            prompt: its ids, to find a kept session that holds what it begins with.
            grammar: what the tokens behind the prompt must keep to, see `shared.grammar.source`. Whether the target can
                see to that is asked before, of its `description`.
            holds_on: wait all of that time for a link that broke; otherwise only for the `grace` of `retry`.
            account: what the text may spend; None lets it spend what it wants.
            is_wanted: looked at while the target reads; where nobody wants the text any more, `GivenUp` is raised.
        """
        kept_to = None
        if grammar is not None:
            kept_to = wire.Grammar(source=grammar, begin=prompt_length, engine=library.version())
        described = self.description
        author = Author(described, self._who_is_there, self.address, notify, self._doubt, grammar is not None)
        reader = Reader(described.vocabulary, described.context, frozenset(end_ids))
        found = self._kept.take(prompt, described.fingerprint) if self._kept else None
        kept = found or Kept(os.urandom(codec.SESSION_ID_BYTES), ())
        limit, retry = described.max_request_tokens, _within(self._retry, timeout)
        header = codec.encode_session(
            kept.session_id, sampling, coupling, sorted(reader.end_ids), kept_to, interval(retry)
        )

        def make_link(meter: Meter) -> ReliableLink:
            outage = Outage(self._clock, notify, self._presence)
            return ReliableLink(
                self._transport,
                header,
                prompt_length,
                meter,
                self._clock,
                outage,
                account or Account(),
                author,
                found is not None,
                is_wanted,
            )

        def keep(ids: Sequence[int]) -> bool:
            if self._kept is not None:
                self._kept.give(Kept(kept.session_id, ids, author.fingerprint))
            return self._kept is not None

        def patience(retry: Retry, tells: bool) -> Patience:
            if holds_on:
                return self._patience(retry, tells)
            if self._presence.is_away:  # another text has waited for it in vain: this one need not
                retry = replace(retry, total=min(retry.total, retry.grace))
            return self._patience(retry, tells, retry.grace)

        # Whether or not others have waited before: what becomes of a text that goes on waiting is its own business.
        absence = partial(self._patience, retry)
        return TargetSession(make_link, reader, limit, prompt_length, retry, patience, kept.ids, keep, absence)

    def close(self) -> None:
        """Close the connection, after at most a second for releases that are under way. Never raises."""
        if self._kept is not None:
            self._kept.close()
        self._transport.close()

    def __enter__(self) -> TargetClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _who_is_there(self) -> Description:
        self._origin.look_again()
        return self._origin.description.adapted(self.adapter, self.address)

    def _doubt(self) -> None:
        self._origin.is_doubted = True

    def _patience(self, retry: Retry, tells: bool = True, grace: float = math.inf) -> Patience:
        return Patience(retry, self.address, self._clock, self._chance, tells, grace)


def _within(retry: Retry, timeout: float | None) -> Retry:
    return retry if timeout is None else replace(retry, total=timeout)
