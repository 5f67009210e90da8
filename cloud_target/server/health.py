"""The standard health service: whether the target serves, told to anybody who asks, at a bounded cost.

grpcio-health-checking's own servicer writes to a peer while it holds a lock, which one that never reads then keeps from
all others, from the server's end too; and it remembers every name that it was ever asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2

from cloud_target.server.endings import ending
from cloud_target.server.first_message import first_message
from cloud_target.server.telling import Answers, tell_only
from cloud_target.server.turnstile import RevolvingDoor, Turnstile
from shared.errors import UnknownService

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
# Asks whether the process answers, not whether it takes calls: for whoever would start another one.
LIVENESS = "tandem.liveness"

Question, Answer = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
_Calls = AsyncIterable[health_pb2.HealthCheckRequest]


@dataclass(frozen=True)
class HealthLimits:
    """What strangers may have of it.

    Attributes:
        asking: questions on their way at once and their answers, in all and of one connection. Each may take as much
            memory as the largest message. When all are taken, the one that takes longest gives way to the next.
        watching: calls that watch, likewise. Each takes a stream.
        patience: seconds that a question may take to come, and an answer to be read.
    """

    asking: tuple[int, int] = (256, 2)
    watching: tuple[int, int] = (64, 2)
    patience: float = 5.0


class Health:
    """Answers `grpc.health.v1.Health`. Use inside one event loop.

    Args:
        names: what it knows of, each of which serves but where `serves` says otherwise.
        alive: names that ask no more than whether this process answers, as it does where it can be asked.
        refused: told the reason of each call that ends with an error.
        limits: what strangers may have of it.
    """

    def __init__(
        self,
        names: Iterable[str],
        alive: Iterable[str] = (),
        refused: Callable[[str], None] = lambda _: None,
        limits: HealthLimits | None = None,
    ) -> None:
        self._alive = frozenset(alive)
        self._names, self._refused = self._alive.union(names), refused
        self._limits = limits or HealthLimits()
        self._asking, self._watching = RevolvingDoor(*self._limits.asking), Turnstile(*self._limits.watching)
        self._serves = True
        self._changed = asyncio.Event()

    @property
    def serves(self) -> bool:
        """Whether new calls are welcome. Those who watch are told of a change; setting it waits for nobody."""
        return self._serves

    @serves.setter
    def serves(self, value: bool) -> None:
        self._serves = value
        self._changed.set()
        self._changed = asyncio.Event()

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """What a server needs to know of it, by name."""
        coding = Question.FromString, Answer.SerializeToString
        return {
            "Check": grpc.stream_stream_rpc_method_handler(self._check, *coding),  # on the wire it is the same
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch, *coding),
        }

    async def _check(self, _: _Calls, context: grpc.aio.ServicerContext) -> None:
        async with ending(context, self._refused), self._asking.place(context.peer()):
            name = await self._question(context)
            if name is None:
                raise UnknownService("the target knows of no service by this name; ask about the empty one")
            await tell_only(context, Answer(status=self._status(name)), self._limits.patience)

    async def _watch(self, _: _Calls, context: grpc.aio.ServicerContext) -> None:
        async with ending(context, self._refused):
            with self._watching.place(context.peer()):
                async with self._asking.place(context.peer()):
                    name = await self._question(context)
                answers, told = Answers(context), None
                while True:
                    changed = self._changed
                    if (status := self._status(name)) != told:
                        told = status
                        await answers.tell(Answer(status=status), self._limits.patience)
                    else:
                        await changed.wait()

    async def _question(self, context: grpc.aio.ServicerContext) -> str | None:
        """The name that is asked about, None for one that is not known, which then is not kept."""
        asked = await first_message(context, Question, self._limits.patience)
        return asked.service if asked.service in self._names else None

    def _status(self, name: str | None) -> int:
        if name is None:
            return Answer.SERVICE_UNKNOWN
        return Answer.SERVING if self._serves or name in self._alive else Answer.NOT_SERVING
