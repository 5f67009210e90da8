"""A loopback on which messages meet the troubles of a real network, in an order that the test chooses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum, auto
from threading import RLock
from typing import Protocol

from edge_client.target.retry import Clock
from edge_client.testing.loopback import LoopbackLink, LoopbackTransport, Service
from shared.errors import LinkBroken, TargetBusy
from shared.wire.v1 import target_pb2 as wire


class Trouble(Enum):
    """What can happen to one message on its way."""

    NONE = auto()
    LOST_REQUEST = auto()  # the stream breaks before the target sees the request
    LOST_ANSWER = auto()  # the target did the work, but the stream breaks before the answer arrives
    SILENCE = auto()  # nothing arrives until the edge loses patience
    EVICTED = auto()  # the target forgets the session before it sees the request
    RESTART = auto()  # the target dies and comes back
    BUSY = auto()  # the target has no room


class MortalService(Service, Protocol):
    """A `Service` that can lose what it knows."""

    def evict(self) -> None:
        """Forget every session, as if others had needed the room."""
        ...

    def restart(self) -> None:
        """End, and with that break every stream, and begin anew with no session."""
        ...


class LossyTransport(LoopbackTransport):
    """A loopback on which every message meets the next trouble of a plan, and none when that is used up.

    Sending a request and waiting for an answer take one step of the plan each. What the step cannot do to its message
    (an answer that is lost while a request is sent) does not happen. ::

        clock = ManualClock()
        transport = LossyTransport(target, [Trouble.NONE, Trouble.SILENCE, Trouble.RESTART], clock)

    Args:
        service: the target.
        plan: the troubles, in order; may be endless.
        clock: on which `Trouble.SILENCE` lasts; give the same one to whoever counts the edge's patience.
    """

    def __init__(self, service: MortalService, plan: Iterable[Trouble], clock: Clock) -> None:
        super().__init__(service)
        self._mortal = service
        self._plan = iter(plan)
        self._clock = clock

    def open(self) -> LossyLink:
        """See `Transport.open`."""
        return LossyLink(self._mortal, self._lock, self._plan, self._clock)


class LossyLink(LoopbackLink):
    """One stream of a `LossyTransport`."""

    def __init__(self, service: MortalService, lock: RLock, plan: Iterator[Trouble], clock: Clock) -> None:
        super().__init__(service, lock)
        self._mortal = service
        self._plan = plan
        self._clock = clock
        self._is_silent = False

    def send(self, request: wire.DecodeRequest) -> None:
        """See `Link.send`."""
        with self._lock:
            trouble = next(self._plan, Trouble.NONE)
            if trouble is Trouble.LOST_REQUEST:
                raise LinkBroken("the stream was cut, as planned")
            self._between(trouble)
            super().send(request)

    def receive(self, timeout: float) -> wire.DecodeResponse | None:
        """See `Link.receive`."""
        with self._lock:
            trouble = Trouble.SILENCE if self._is_silent else next(self._plan, Trouble.NONE)
            if trouble is Trouble.BUSY:
                raise TargetBusy("the plan says that it is busy")
            if trouble is Trouble.SILENCE:
                self._is_silent = True
                self._clock.sleep(timeout)
                return None
            self._between(trouble)
            answer = super().receive(timeout)
            if trouble is Trouble.LOST_ANSWER:
                raise LinkBroken("the stream was cut, as planned")
            return answer

    def _between(self, trouble: Trouble) -> None:
        if trouble is Trouble.EVICTED:
            self._mortal.evict()
        if trouble is Trouble.RESTART:
            self._mortal.restart()
