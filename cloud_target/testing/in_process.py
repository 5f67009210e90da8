"""The whole service in one process without a port: an engine, its sessions and the protocol, driven by whoever asks.

It needs neither torch nor grpc, and with a scripted engine (`cloud_target/engine/scripted.py`) no model either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import RLock

from cloud_target.engine.interface import Engine
from cloud_target.protocol.constraint import grammars_of
from cloud_target.protocol.describe import describe
from cloud_target.protocol.meant import targets_of
from cloud_target.protocol.prospects import Prospects
from cloud_target.protocol.reader import RequestReader
from cloud_target.protocol.requests import Limits, Request, parse_session_id
from cloud_target.sessions.session import session_key
from cloud_target.sessions.table import SessionTable
from cloud_target.testing.drive import Responses, serve
from shared.wire.v1 import target_pb2 as wire

# Nobody has to say who they are here.
_ANYBODY = ""


class InProcessTarget:
    """A target process without a process: it can be asked, restarted, and made to forget. Use from any thread.

    Args:
        make_engine: makes the engine of each life.

    Attributes:
        lives: how often it was started.
        engine: of the present life.
        limits: what a request may ask for.
        grammars: that texts can be kept to; None where they cannot.
        table: the sessions of the present life.
    """

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._lock = RLock()
        self.lives = 0
        self.restart()

    def describe(self) -> wire.DescribeResponse:
        """Who the target is, as `Describe` says it."""
        return describe(self.engine, self.limits)

    def stream(self) -> InProcessStream:
        """Another stream of requests, as `Decode` takes them; whoever holds it must see whether its life is over."""
        return InProcessStream(self)

    def release(self, session_id: bytes) -> None:
        """Forget a session; an unknown one is no error.

        Raises:
            ProtocolError: not a session's id.
        """
        with self._lock:
            self.table.release(session_key(_ANYBODY, parse_session_id(session_id)))

    def restart(self) -> None:
        """End this life, with all that is remembered, and begin another with a new engine."""
        with self._lock:
            self.lives += 1
            self.engine = self._make_engine()
            self.limits = Limits.of(self.engine)
            self.grammars = grammars_of(self.engine)
            self.table = SessionTable(self.engine)
            self._unfinished: dict[bytes, Responses] = {}

    def evict(self) -> None:
        """Forget every session, as if others had needed the room."""
        with self._lock:
            self.table.clear()

    def serve(self, request: Request, prospects: Prospects) -> Iterator[wire.DecodeResponse]:
        """The responses to a request that was read from a stream, which ends an older one's on the same session."""
        with self._lock:
            unfinished, key = self._unfinished, request.terms.key
            if (older := unfinished.pop(key, None)) is not None:
                older.close()
            responses = unfinished[key] = serve(self.table, request, self.engine, prospects)
        try:
            while True:
                with self._lock:
                    response = next(responses, None)
                if response is None:
                    return
                yield response
        finally:
            with self._lock:
                responses.close()
                if unfinished.get(key) is responses:
                    del unfinished[key]


class InProcessStream:
    """The requests of one stream; the first settles the terms of all."""

    def __init__(self, target: InProcessTarget) -> None:
        self._target = target
        self._reader = RequestReader(_ANYBODY, target.engine.branches, target.grammars, targets_of(target.engine))
        self._prospects = Prospects(self._reader.guesses)

    def answers(self, message: wire.DecodeRequest) -> Iterator[wire.DecodeResponse]:
        """The responses to one request, one pass at a time as they are asked for; a request with guesses has none.

        Raises:
            ProtocolError, InputError: a request that the contract does not allow.
            OtherTarget: the stream means another target than this one.
            TargetBusy: there is no room now.
        """
        request = self._reader.read(message, self._target.limits)
        if request is not None:
            yield from self._target.serve(request, self._prospects)
