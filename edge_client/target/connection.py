"""The way to a target: made when a text first needs it, and shared by all texts from then on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from edge_client.target.outage import tell_nobody
from edge_client.target.retry import Clock, Retry, SystemClock
from edge_client.target.switch import Switch
from edge_client.target.transport import Transport
from shared.errors import InputError, TargetAway
from shared.manifest import Manifest

# Seconds. A target of which nothing came back for LONG is believed to be away for so long by texts that can do without.
AGAIN = 5.0
LONG = 2.0


class Connection:
    """At most one client of one target, whichever thread asks for it first.

    Args:
        address: "host:port"; None where there is no target, or a transport that reaches it.
        transport: reaches the target in the place of gRPC; closed by `close`.
        credentials, retry, clock, notify, kept: see `Edge`; `kept` is its `conversations`.

    Attributes:
        switch: cuts it on purpose.

    Raises:
        InputError: an address or credentials beside a transport, which knows both itself.
    """

    def __init__(
        self,
        address: str | None,
        transport: Transport | None = None,
        credentials: Credentials | None = None,
        retry: Retry | None = None,
        clock: Clock | None = None,
        notify: Callable[[str], None] = tell_nobody,
        kept: int = 0,
    ) -> None:
        if transport is not None and (address is not None or credentials is not None):
            raise InputError("a transport knows its target and how to reach it; leave address and credentials out")
        self._address, self._transport, self._credentials = address, transport, credentials
        self._retry, self._clock, self._notify, self._kept = retry, clock or SystemClock(), notify, kept
        self._away: TargetAway | None = None
        self._away_until = 0.0
        self.switch = Switch()
        self._client: TargetClient | None = None
        self._is_closed = False
        self._connecting = threading.RLock()

    def client(
        self, manifest: Manifest | None = None, timeout: float | None = None, holds_on: bool = True
    ) -> TargetClient:
        """The client, connected now if it is the first time.

        Args:
            manifest: of the bundle whose tokens the target is to judge; None where that is still to be found out.
            timeout: how long it is looked for, seconds; None for a few.
            holds_on: all of that time; otherwise see `TargetClient`, and not at all where another text has just looked
                for it in vain.

        Raises:
            InputError: there is no target, or the connection was closed.
            TargetError: it is not reached, refuses, or has another tokenizer than the bundle.
        """
        asked_at = self._clock.now()
        with self._connecting:
            self._see_that_it_is_open()
            if self._client is None:
                client = self._connect(timeout) if holds_on else self._glance(timeout, asked_at)
                try:
                    if manifest is not None:
                        client.description.check(manifest, client.address)
                    self._see_that_it_is_open()  # somebody may have closed it meanwhile
                except BaseException:
                    if self._transport is None:
                        client.close()
                    raise
                self._client = client
            elif manifest is not None:  # both may be others than at first
                self._see_who_is_there(self._client)
                self._client.description.check(manifest, self._client.address)
            return self._client

    def close(self) -> None:
        """Close the connection. Twice is once."""
        self._is_closed = True
        if self._client is not None:
            self._client.close()
        elif self._transport is not None:
            self._transport.close()

    def _see_who_is_there(self, client: TargetClient) -> None:
        """Where a text has met another target, the next one says which that is, and is written by it."""
        before = client.description
        if client.is_doubted and client.look_again():
            self._notify(client.description.instead_of(before, client.address))

    def _see_that_it_is_open(self) -> None:
        if self._is_closed:
            raise InputError("this edge was closed; make another one")

    def _glance(self, timeout: float | None, asked_at: float) -> TargetClient:
        """Connect for a text that can do without.

        What another text found out meanwhile need not be found out again; nor, for a while, that nothing at all comes
        back, for that takes long.
        """
        if self._away is not None and asked_at < self._away_until:
            raise self._away
        begin = self._clock.now()
        try:
            return self._connect(timeout, holds_on=False)
        except TargetAway as away:
            now = self._clock.now()
            self._away, self._away_until = away, now + (AGAIN if now - begin > LONG else 0.0)
            raise

    def _connect(self, timeout: float | None, holds_on: bool = True) -> TargetClient:
        if self._transport is not None:
            name = getattr(self._transport, "address", type(self._transport).__name__)
            return TargetClient(
                self.switch.over(self._transport),
                name,
                self._retry,
                self._clock,
                timeout=timeout,
                notify=self._notify,
                kept=self._kept,
                holds_on=holds_on,
            )
        if self._address is None:
            raise InputError(
                "there is no target to ask; start one with `cloud-target serve` and give its address, or write alone",
                options=("target", "mode local"),
            )
        return TargetClient.connect(
            self._address,
            self._retry,
            self._credentials,
            self._clock,
            timeout,
            self._notify,
            self._kept,
            holds_on,
            self.switch,
        )
