"""The standard reflection service: which calls and messages there are, told to a few at a time, who may not idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection, reflection_pb2

from cloud_target.server.endings import ending
from cloud_target.server.telling import Answers
from cloud_target.server.turnstile import Turnstile
from shared.errors import ProtocolError, TargetUnavailable

SERVICE: str = reflection.SERVICE_NAME

Question = reflection_pb2.ServerReflectionRequest


@dataclass(frozen=True)
class ReflectionLimits:
    """What strangers may have of it.

    Attributes:
        asking: calls at once, in all and of one connection. Each has one question and its answer in memory.
        patience: seconds that the next question of a call may take to come, and an answer to be read.
    """

    asking: tuple[int, int] = (16, 2)
    patience: float = 10.0


class Reflection(reflection.aio.ReflectionServicer):
    """Answers `grpc.reflection.v1alpha.ServerReflection`. Use inside one event loop.

    Args:
        names: of all services.
        refused: told the reason of each call that ends with an error.
        limits: what strangers may have of it.
    """

    def __init__(
        self,
        names: Iterable[str],
        refused: Callable[[str], None] = lambda _: None,
        limits: ReflectionLimits | None = None,
    ) -> None:
        super().__init__(names)
        self._refused, self._limits = refused, limits or ReflectionLimits()
        self._asking = Turnstile(*self._limits.asking)

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """What a server needs to know of it, by name."""
        answer = reflection_pb2.ServerReflectionResponse.SerializeToString
        return {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._info, Question.FromString, answer)}

    async def _info(self, _: Any, context: grpc.aio.ServicerContext) -> None:
        async with ending(context, self._refused):
            with self._asking.place(context.peer()):
                told = Answers(context)
                while (question := await self._question(context)) is not None:
                    answers = self.ServerReflectionInfo(_only(question), context)
                    async for answer in answers:  # type: ignore[attr-defined]  # declared as if it were a coroutine
                        await told.tell(answer, self._limits.patience)

    async def _question(self, context: grpc.aio.ServicerContext) -> Question | None:
        """The next one, None at the end."""
        try:
            async with asyncio.timeout(self._limits.patience):
                question = await context.read()
        except TimeoutError:
            raise TargetUnavailable("no other question came in time; ask in another call") from None
        except DecodeError:
            raise ProtocolError("this is no question about services; ask as gRPC's reflection does") from None
        return question if isinstance(question, Question) else None


async def _only(question: Question) -> AsyncIterator[Question]:
    yield question
