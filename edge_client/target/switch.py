"""A switch that cuts the link to the target on purpose, to see what texts do while it is away."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing

from edge_client.target.transport import Link, Transport
from shared.errors import LinkBroken
from shared.wire.v1 import target_pb2 as wire


class Switch:
    """Cuts all links of a transport at once, and lets no new one come up until it is mended.

    To whoever writes it is an outage as any other. What is cut, stays so: a link that broke is of no more use when the
    switch is mended.
    """

    def __init__(self) -> None:
        self._why: str | None = None
        self._links: set[_SwitchedLink] = set()
        self._lock = threading.Lock()

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes now."""
        return self._why is not None

    def cut(self, why: str) -> None:
        """Break all links, and let nothing pass any more. Twice is once.

        Args:
            why: in a few words, for the reader of a text.
        """
        with self._lock:
            self._why = why
            links, self._links = self._links, set()
        for link in links:
            link.cut(why)

    def mend(self) -> None:
        """Let links come up again. Twice is once."""
        self._why = None

    def over(self, transport: Transport) -> Transport:
        """The same transport, under this switch."""
        return _SwitchedTransport(transport, self)

    def check(self) -> None:
        """See that something passes.

        Raises:
            LinkBroken: it is cut.
        """
        if (why := self._why) is not None:
            raise LinkBroken(why, reached=False)

    def link(self, transport: Transport) -> Link:
        """A new link; one that is broken already, where it is cut."""
        if (why := self._why) is not None:
            return _SwitchedLink(None, self, why)
        link = _SwitchedLink(transport.open(), self)
        with self._lock:
            if (why := self._why) is None:
                self._links.add(link)
        if why is not None:  # meanwhile
            link.cut(why)
        return link

    def forget(self, link: _SwitchedLink) -> None:
        """A link is closed. Without the lock: the garbage collector may close one in a thread that holds it."""
        self._links.discard(link)


class _SwitchedTransport:
    def __init__(self, inner: Transport, switch: Switch) -> None:
        self._inner, self._switch = inner, switch

    def describe(self, timeout: float) -> wire.DescribeResponse:
        self._switch.check()
        return self._inner.describe(timeout)

    def open(self) -> Link:
        return self._switch.link(self._inner)

    def fetch(self, digest: bytes, file: str, offset: int, timeout: float) -> Generator[bytes]:
        self._switch.check()
        with closing(self._inner.fetch(digest, file, offset, timeout)) as chunks:
            for chunk in chunks:
                self._switch.check()
                yield chunk

    def release(self, session_id: bytes) -> None:
        if not self._switch.is_cut:
            self._inner.release(session_id)

    def close(self) -> None:
        self._inner.close()


class _SwitchedLink:
    def __init__(self, inner: Link | None, switch: Switch, why: str | None = None) -> None:
        self._inner, self._switch, self._why = inner, switch, why
        self._has_sent = False

    def send(self, request: wire.DecodeRequest) -> None:
        inner = self._whole()
        self._has_sent = True
        inner.send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        inner = self._whole()
        try:
            answer = inner.receive(timeout)
        except LinkBroken:
            self._whole()  # it broke because it was cut: say so
            raise
        self._whole()  # what comes in the moment of the cut does not come any more
        return answer

    def cut(self, why: str) -> None:
        """Break it; who waits for an answer is woken."""
        self._why = why
        if self._inner is not None:
            self._inner.close()

    def close(self) -> None:
        self._switch.forget(self)
        if self._inner is not None:
            self._inner.close()

    def _whole(self) -> Link:
        if self._why is not None or self._inner is None:
            raise LinkBroken(self._why or "it was never open", reached=self._has_sent)
        return self._inner
