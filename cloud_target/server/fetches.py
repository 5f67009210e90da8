"""Sending the offered bundle: in chunks, to so many at once, and for so long at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import grpc

from cloud_target.access.admission import Caller
from cloud_target.bundles.offered import OfferedBundle
from cloud_target.bundles.settings import FETCHES
from cloud_target.server.telling import Answers
from cloud_target.server.timeouts import Timeouts
from cloud_target.telemetry.observer import NOBODY, Observer
from shared.errors import LimitReached, TargetBusy, TargetRefused, TargetUnavailable
from shared.wire.bundles import encode_contents
from shared.wire.v1 import target_pb2 as wire

# After which a place may be free again, seconds.
SOON = 2.0


class Fetches:
    """All calls that send the bundle. Use inside one event loop.

    Each holds a chunk, and one more waits in its connection. The files are opened once for all.

    Args:
        bundle: what is offered; None where nothing is.
        most: calls at once. Where there are tenants, one alone has at most half of them.
        timeouts: how long a call may take, and how long its client may read nothing.
        observer: hears of what is sent.
    """

    def __init__(
        self,
        bundle: OfferedBundle | None,
        most: int = FETCHES,
        timeouts: Timeouts | None = None,
        observer: Observer = NOBODY,
    ) -> None:
        self._bundle, self._most = bundle, most
        self._message = None if bundle is None else encode_contents(bundle.contents)
        self._timeouts = timeouts or Timeouts()
        self._observer = observer
        self._open: Counter[str] = Counter()
        self._is_stopping = False

    @property
    def offered(self) -> wire.OfferedBundle | None:
        """What `Describe` says of it; None where nothing is offered, or not any more."""
        return self._message if self._bundle is not None and self._bundle.is_intact else None

    async def send(self, request: wire.FetchBundleRequest, caller: Caller, context: grpc.aio.ServicerContext) -> None:
        """Answer a call.

        Raises:
            TargetRefused: nothing is offered, or another bundle than the one that is asked for.
            ProtocolError: there is nothing of the kind in it.
            TargetBusy, LimitReached: no room now, or the tenant has had its share; another call may go on.
            TargetUnavailable: the client reads nothing, the call took its time, or the target shuts down; likewise.
        """
        if self._bundle is None:
            raise TargetRefused("this target offers no bundle; give one of your own")
        self._bundle.see_that_it_can_be_sent(request)
        with self._place(caller):
            answers, offset, begun = Answers(context), request.offset, monotonic()
            while True:
                if self._is_stopping or monotonic() - begun > self._timeouts.fetch:
                    raise TargetUnavailable("the call took its time; go on with another one")
                caller.usage.check_bytes()
                # In a thread: the disk may take its time, and others wait for the loop.
                chunk = await asyncio.to_thread(self._bundle.read, request.file, offset)
                if not chunk:
                    return
                await answers.tell(wire.FetchBundleResponse(data=chunk), self._timeouts.unread)
                offset += len(chunk)
                caller.usage.spend_bytes(len(chunk))
                self._observer.sent(caller.tenant, len(chunk))

    def stop(self) -> None:
        """End all calls at their next chunk."""
        self._is_stopping = True

    def go_on(self) -> None:
        """Answer calls again, after `stop`."""
        self._is_stopping = False

    @contextmanager
    def _place(self, caller: Caller) -> Iterator[None]:
        if self._open.total() >= self._most:
            raise TargetBusy("others fetch the bundle now; try again in a moment", SOON)
        if caller.grant is not None and self._open[caller.tenant] >= max(1, self._most // 2):
            raise LimitReached("others of this tenant fetch the bundle now; try again in a moment", SOON)
        self._open[caller.tenant] += 1
        try:
            yield
        finally:
            self._open[caller.tenant] -= 1
            self._open += Counter()  # which forgets tenants with none
